"""The OpenAPI document: FastAPI's, with the bodies that we read ourselves."""

from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from worker.api.perspective import (
    AnalyzeRequest,
    AnalyzeResponse,
    ErrorResponse,
    SuggestRequest,
    SuggestResponse,
)
from worker.api.scoring import CommentToScore, ScoreAnswer, ScoreRequest

REF: Final = "#/components/schemas/{model}"

REQUESTS: Final = (AnalyzeRequest, SuggestRequest, ScoreRequest, CommentToScore)
ANSWERS: Final = (AnalyzeResponse, SuggestResponse, ScoreAnswer, ErrorResponse)

CORAL: Final = {
    "comment": {"text": "You are awful"},
    "doNotStore": True,
    "requestedAttributes": {"TOXICITY": {}},
    "languages": ["en"],
}

EXAMPLES: Final[dict[type[BaseModel], dict[str, Any]]] = {
    AnalyzeRequest: {
        "Coral": CORAL,
        "by sentence": {
            "comment": {"text": "Thank you. You are an idiot."},
            "requestedAttributes": {"TOXICITY": {}, "INSULT": {"scoreThreshold": 0.1}},
            "spanAnnotations": True,
            "clientToken": "comment:4711",
        },
    },
    SuggestRequest: {
        "Coral": {
            "comment": {"text": "You are awful"},
            "context": {"entries": [{"text": '{"Coral_comment_id":"4711"}'}]},
            "attributeScores": {"TOXICITY": {"summaryScore": {"value": 1}}},
            "languages": ["en"],
            "communityId": "Coral:example.com",
            "clientToken": "comment:4711",
        }
    },
    ScoreRequest: {
        "one": {"text": "You are awful"},
        "many": {
            "comments": [
                {"id": "c1", "text": "You are awful", "community": "gaming"},
                {"id": "c2", "text": "Thank you, this helped me."},
            ]
        },
    },
}

KEYS: Final = {
    "key": {"type": "apiKey", "in": "query", "name": "key"},
    "header": {"type": "apiKey", "in": "header", "name": "X-Goog-Api-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def described(request: type[BaseModel], answer: type[BaseModel], *, lines: bool) -> dict[str, Any]:
    """Return what FastAPI is to say of a call.

    Args:
        request: its body.
        answer: what comes back.
        lines: whether it takes JSON Lines, too.
    """
    schema = {"$ref": REF.format(model=request.__name__)}
    examples = {name: {"value": value} for name, value in EXAMPLES[request].items()}
    content: dict[str, Any] = {"application/json": {"schema": schema, "examples": examples}}
    if lines:
        content["application/jsonl"] = {
            "schema": {"type": "string", "description": "A CommentToScore a line."}
        }
    error = {"$ref": REF.format(model=ErrorResponse.__name__)}
    refused = {"content": {"application/json": {"schema": error}}}
    return {
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": {
                "description": "What was found.",
                "content": {
                    "application/json": {"schema": {"$ref": REF.format(model=answer.__name__)}}
                },
            },
            "400": {"description": "The request is wrong: the field is named.", **refused},
            "403": {"description": "No key, or an unknown one.", **refused},
            "408": {"description": "The body did not arrive in time.", **refused},
            "413": {"description": "The body is too large, or takes too long to judge.", **refused},
            "429": {"description": "More than can be judged: see Retry-After.", **refused},
            "503": {"description": "Not judged in time.", **refused},
        },
        "security": [{}, *({name: []} for name in KEYS)],
    }


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """Add the schemas that the calls refer to, and how keys are given."""
    models = [
        *((model, "validation") for model in REQUESTS),
        *((model, "serialization") for model in ANSWERS),
    ]
    _, schemas = models_json_schema(models, ref_template=REF)  # type: ignore[arg-type]
    document["components"] = {"schemas": schemas["$defs"], "securitySchemes": KEYS}
    return document
