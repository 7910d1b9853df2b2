"""PyPI's perspective: ask_perspective.py KEY, behind at_loopback.py."""

import json
import sys
from typing import Any
from urllib.error import HTTPError

from perspective import PerspectiveAPI  # type: ignore[import-not-found]

(key,) = sys.argv[1:]
client = PerspectiveAPI(key)


def refused(client: Any, text: str) -> dict[str, Any]:
    """Ask in vain, and return what the client makes of it."""
    try:
        client.score(text)
    except HTTPError as error:
        return {"status": error.code, "body": json.load(error)}
    return {}


json.dump(
    {
        "scores": client.score("You are awful", tests=["TOXICITY", "IDENTITY_ATTACK"]),
        "analyzed": client.analyze_comment(
            "You are awful. Have a nice day.",
            comment_type="PLAIN_TEXT",
            context=[{"text": "An article", "type": "PLAIN_TEXT"}],
            requested_attributes={"TOXICITY": {"scoreType": "PROBABILITY", "scoreThreshold": 0.0}},
            span_annotations=True,
            languages=["en"],
            do_not_store=True,
            client_token="mine",  # noqa: S106 - an echo, no secret
            session_id="a session",
            community_id="a community",
        ),
        "suggested": client.suggest_score(
            "You are awful",
            {"TOXICITY": {"summaryScore": {"value": 1.0}}},
            client_token="mine",  # noqa: S106 - the same
        ),
        "empty": refused(client, ""),
        "wrong_key": refused(PerspectiveAPI("another"), "You are awful"),
    },
    sys.stdout,
)
