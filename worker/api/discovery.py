"""The discovery document that Google's clients read before they call (v1alpha1).

Made of our own models, with our own address in it, so that it says what is there.
"""

from typing import Any, Final

from worker.api.perspective import (
    AnalyzeRequest,
    AnalyzeResponse,
    Message,
    SuggestRequest,
    SuggestResponse,
)

NAME: Final = "commentanalyzer"
VERSION: Final = "v1alpha1"
REF: Final = "{model}"

QUERY: Final = {
    "key": ("string", "API key."),
    "alt": ("string", "Data format of the answer: json."),
    "fields": ("string", "Which fields of the answer are wanted."),
    "prettyPrint": ("boolean", "Accepted, and makes no difference."),
    "quotaUser": ("string", "Accepted, and makes no difference."),
    "$.xgafv": ("string", "Accepted, and makes no difference."),
}

MESSAGES: Final[dict[str, type[Message]]] = {
    "AnalyzeCommentRequest": AnalyzeRequest,
    "AnalyzeCommentResponse": AnalyzeResponse,
    "SuggestCommentScoreRequest": SuggestRequest,
    "SuggestCommentScoreResponse": SuggestResponse,
}

METHODS: Final = {
    "analyze": (
        "AnalyzeCommentRequest",
        "AnalyzeCommentResponse",
        "Scores a comment for each requested attribute.",
    ),
    "suggestscore": (
        "SuggestCommentScoreRequest",
        "SuggestCommentScoreResponse",
        "Takes what a moderator decided.",
    ),
}


def discovery(root: str) -> dict[str, Any]:
    """Return the document.

    Args:
        root: the address under which clients find us, with a slash at its end.
    """
    return {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": f"{NAME}:{VERSION}",
        "name": NAME,
        "version": VERSION,
        "title": "Perspective Comment Analyzer API, as tidegate answers it",
        "protocol": "rest",
        "rootUrl": root,
        "mtlsRootUrl": root,
        "servicePath": "",
        "baseUrl": root,
        "parameters": {
            name: {"type": kind, "description": about, "location": "query"}
            for name, (kind, about) in QUERY.items()
        },
        "resources": {"comments": {"methods": {name: _method(name) for name in METHODS}}},
        "schemas": schemas(),
    }


def _method(name: str) -> dict[str, Any]:
    request, response, about = METHODS[name]
    path = f"{VERSION}/comments:{name}"
    return {
        "id": f"{NAME}.comments.{name}",
        "description": about,
        "httpMethod": "POST",
        "path": path,
        "flatPath": path,
        "parameters": {},
        "parameterOrder": [],
        "request": {"$ref": request},
        "response": {"$ref": response},
    }


def schemas() -> dict[str, Any]:
    """Return the schemas in the dialect of discovery documents (JSON Schema draft 3)."""
    found: dict[str, Any] = {}
    for name, model in MESSAGES.items():
        written = model.model_json_schema(mode="serialization", ref_template=REF)
        for inner, schema in (written.pop("$defs", {}) | {name: written}).items():
            found[inner] = _in_draft_3(schema, inner)
    return found


def _object(name: str, **properties: Any) -> dict[str, Any]:
    return {"id": name, "type": "object", "properties": properties}


def _in_draft_3(schema: dict[str, Any], name: str) -> dict[str, Any]:
    properties = {field: _type(of) for field, of in schema.get("properties", {}).items()}
    about = {"description": schema["description"]} if "description" in schema else {}
    return _object(name, **properties) | about


def _type(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a field's type; that it may be null goes without saying there."""
    about = {"description": schema["description"]} if "description" in schema else {}
    for option in schema.get("anyOf", ()):
        if option.get("type") != "null":
            return _type(option) | about
    if "$ref" in schema:
        return {"$ref": schema["$ref"]} | about
    kind = schema["type"]
    found: dict[str, Any] = {"type": kind}
    if kind == "array":
        found["items"] = _type(schema["items"])
    elif kind == "object":
        found["additionalProperties"] = _type(schema["additionalProperties"])
    elif kind == "integer":
        found["format"] = "int32"
    elif kind == "number":
        found["format"] = "float"
    return found | about
