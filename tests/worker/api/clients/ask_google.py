"""google-api-python-client, as Perspective's documentation shows it: ask_google.py URL KEY."""

import json
import sys
from typing import Any

from googleapiclient import discovery  # type: ignore[import-untyped]
from googleapiclient.errors import HttpError  # type: ignore[import-untyped]

url, key = sys.argv[1:]
ASKED = {"TOXICITY": {}, "INSULT": {"scoreType": "PROBABILITY"}}


def client(key: str) -> Any:
    """Make a client out of the server's own description."""
    return discovery.build(
        "commentanalyzer",
        "v1alpha1",
        developerKey=key,
        discoveryServiceUrl=f"{url}/$discovery/rest?version=v1alpha1",
        static_discovery=False,
    )


def refused(key: str, text: str) -> dict[str, Any]:
    """Ask in vain, and return what the client makes of it."""
    body = {"comment": {"text": text}, "requestedAttributes": ASKED}
    try:
        client(key).comments().analyze(body=body).execute()
    except HttpError as error:
        return {
            "status": error.status_code,
            "reason": error.reason,
            "details": error.error_details,
        }
    return {}


comments = client(key).comments()
analysis = {
    "comment": {"text": "You are awful. Have a nice day.", "type": "PLAIN_TEXT"},
    "requestedAttributes": ASKED,
    "spanAnnotations": True,
    "languages": ["en"],
    "clientToken": "mine",
}
decision = {
    "comment": {"text": "You are awful"},
    "attributeScores": {"TOXICITY": {"summaryScore": {"value": 1}}},
    "clientToken": "mine",
}
json.dump(
    {
        "analyzed": comments.analyze(body=analysis).execute(),
        "partial": comments.analyze(
            body=analysis, fields="attributeScores/TOXICITY/summaryScore/type"
        ).execute(),
        "suggested": comments.suggestscore(body=decision).execute(),
        "empty": refused(key, ""),
        "wrong_key": refused("another", "You are awful"),
    },
    sys.stdout,
)
