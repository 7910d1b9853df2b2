"""The peer: `transformers.pipeline` behind FastAPI, as tutorials have it. A port as argument."""

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import AutoTokenizer, pipeline

from schemas.labels import LABELS
from trainer.model import base_folder, load_model


class Body(BaseModel):
    """What is asked."""

    text: str


app = FastAPI()
scores = pipeline(
    "text-classification",
    model=load_model(None, LABELS),
    tokenizer=AutoTokenizer.from_pretrained(base_folder(None)),
    top_k=None,
    function_to_apply="sigmoid",
)


@app.post("/v1/score")
def score(body: Body) -> Any:
    """Score one text."""
    return scores(body.text, truncation=True, max_length=128)


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
