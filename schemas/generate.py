"""The JSON Schemas of the contracts, and an AsyncAPI 3 document over them.

Kept in `schemas/generated/`; a test says when they are stale. `tidegate schemas` writes them.
"""

import json
from typing import Any, Final

from pydantic import BaseModel

from schemas.bundle import BundleManifest, GoldenComments
from schemas.comment import CommentEvent
from schemas.dead_letter import HEADER_PREFIX, DeadLetterHeaders
from schemas.feedback import Feedback
from schemas.policy import Policy
from schemas.verdict import Flag, Verdict

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

CONTRACTS: Final[dict[str, type[BaseModel]]] = {
    "comment": CommentEvent,
    "verdict": Verdict,
    "flag": Flag,
    "dead_letter_headers": DeadLetterHeaders,
    "feedback": Feedback,
    "policy": Policy,
    "bundle": BundleManifest,
    "golden": GoldenComments,
}

# channel -> topic, what it carries, how it is compacted
CHANNELS: Final = {
    "comments": ("comments", "comment", "What platforms publish. A null value is an erasure."),
    "verdicts": ("verdicts", "verdict", "One for each comment. Compacted by the comment's id."),
    "flags": ("flags", "flag", "The verdicts whose action is not allow, for moderation queues."),
    "deadLetters": (
        "dead-letters",
        "dead_letter",
        "Records that nobody could judge, as they came.",
    ),
    "feedback": ("feedback", "feedback", "What moderators decided. Compacted by the comment's id."),
    "policies": ("policies", "policy", "Thresholds per label and community. Compacted."),
}

KEY: Final = {
    "type": "string",
    "minLength": 1,
    "maxLength": 256,
    "description": "The comment's id.",
}

CLOUD_EVENT: Final = {
    "type": "object",
    "description": "CloudEvents 1.0.2 in Kafka's binary mode, and W3C Trace Context.",
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "format": "uuid", "description": "The verdict's id."},
        "ce_source": {"type": "string"},
        "ce_type": {"type": "string"},
        "ce_time": {"type": "string", "format": "date-time"},
        "content-type": {"const": "application/json"},
        "traceparent": {"type": "string"},
        "tracestate": {"type": "string"},
    },
}


def documents() -> dict[str, str]:
    """Return every document by its file's name."""
    written = {
        f"{name}.schema.json": {"$schema": DIALECT, **model.model_json_schema(mode="validation")}
        for name, model in CONTRACTS.items()
    }
    written["asyncapi.json"] = asyncapi()
    return {
        name: json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for name, document in written.items()
    }


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document: what tidegate reads and writes, topic by topic."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "tidegate",
            "version": "1",
            "description": "Comments in, verdicts out. Topic names are settings; these are the "
            "defaults.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            channel: {
                "address": topic,
                "description": about,
                "messages": {message: {"$ref": f"#/components/messages/{message}"}},
            }
            for channel, (topic, message, about) in CHANNELS.items()
        },
        "operations": {
            "readComments": _operation("receive", "comments", "comment"),
            "publishVerdicts": _operation("send", "verdicts", "verdict"),
            "publishFlags": _operation("send", "flags", "flag"),
            "publishDeadLetters": _operation("send", "deadLetters", "dead_letter"),
            "publishFeedback": _operation("send", "feedback", "feedback"),
        },
        "components": {"messages": {m: _message(m) for _, m, _ in CHANNELS.values()}},
    }


def _operation(action: str, channel: str, message: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
    }


def _message(name: str) -> dict[str, Any]:
    message: dict[str, Any] = {"name": name, "bindings": {"kafka": {"key": KEY}}}
    if name == "dead_letter":
        properties = {
            HEADER_PREFIX + field.replace("_", "."): {"type": "string"}
            for field in DeadLetterHeaders.model_fields
        }
        message["headers"] = {
            "type": "object",
            "properties": properties,
            "required": sorted(properties),
        }
        message["contentType"] = "application/octet-stream"
        message["payload"] = {"description": "The bytes of the record as it came."}
        return message
    if name in {"verdict", "flag"}:
        message["headers"] = CLOUD_EVENT
    message["payload"] = {
        "schemaFormat": "application/schema+json;version=draft-2020-12",
        "schema": {"$ref": f"{name}.schema.json"},
    }
    return message
