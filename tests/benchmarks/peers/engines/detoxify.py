"""Detoxify's `predict` on lists of 32, by the package itself with the benchmark's weights."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import torch
from detoxify import Detoxify
from safetensors.torch import load_file

from benchmarks.peers.engines.engine import Engine, Scores, labels_of
from schemas.bundle import FLOAT_WEIGHTS


def load(folder: Path, batch: int) -> Engine:
    """Load the weights as a checkpoint of Detoxify's, which it reads from a file."""
    with NamedTemporaryFile(suffix=".ckpt") as file:
        torch.save(_checkpoint(folder), file.name)
        model = Detoxify(checkpoint=file.name, huggingface_config_path=str(folder))

    def score(texts: Sequence[str]) -> Scores:
        scores: Scores = []
        for start in range(0, len(texts), batch):
            # always a list: of one comment alone it gives numbers, of several lists
            found = model.predict(list(texts[start : start + batch])).values()
            columns = [column if isinstance(column, list) else [column] for column in found]
            scores += map(list, zip(*columns, strict=True))
        return scores

    return score


def _checkpoint(folder: Path) -> dict[str, Any]:
    labels = labels_of(folder)
    arch = {
        "model_type": str(folder),
        "model_name": "BertForSequenceClassification",
        "tokenizer_name": "AutoTokenizer",
        "num_classes": len(labels),
    }
    config = {"dataset": {"args": {"classes": labels}}, "arch": {"args": arch}}
    return {"config": config, "state_dict": load_file(folder / FLOAT_WEIGHTS)}
