"""What a moderator decided: from Perspective's `comments:suggestscore` to a record."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from schemas.comment import CommentEvent
from schemas.verdict import Action
from schemas.wire import encode
from worker.api.attributes import Attributes
from worker.api.errors import invalid
from worker.api.perspective import SCORE_TYPES, AttributeScores, SuggestRequest
from worker.cloud_event import cloud_event
from worker.window import Outgoing

# Older Corals say what was done with a comment in place of what it is.
ACTIONS: Final = {"APPROVED": Action.ALLOW, "DELETED": Action.REMOVE}

MOST_CHARACTERS: Final = 60  # of an attribute's name


def scores_of(request: SuggestRequest) -> dict[str, float]:
    """Return the score that was suggested for each attribute.

    Raises:
        ApiError: an attribute has none, or it is no probability.
    """
    if not request.attribute_scores:
        raise invalid("Missing attribute_scores")
    return {name: _score(name, found) for name, found in request.attribute_scores.items()}


def _score(attribute: str, found: AttributeScores | None) -> float:
    """Return the score of the whole comment; of parts the highest, as when we judge."""
    shown = attribute[:MOST_CHARACTERS]
    if not attribute or shown != attribute:
        raise invalid(f"Unknown attribute: {shown}…")
    scores = [found.summary_score] if found and found.summary_score else []
    if found and not scores:
        scores = [part.score for part in found.span_scores or () if part.score]
    if not scores:
        raise invalid(f"Missing summary_score for attribute: {shown}")
    if any(score.type not in SCORE_TYPES for score in scores):
        raise invalid(f"Score type of attribute {shown} is not supported")
    values = [score.value or 0.0 for score in scores]  # proto3 leaves a zero out
    if not all(0 <= value <= 1 for value in values):  # NaN is not, either
        raise invalid(f"Score of attribute {shown} must be between 0 and 1")
    return max(values)


def labels_of(scores: Mapping[str, float], attributes: Attributes) -> dict[str, float]:
    """Return the score that was suggested for each label.

    What has no label here is kept under its own name: a later bundle may have one.

    Raises:
        ApiError: two attributes of one label have different scores.
    """
    labels: dict[str, float] = {}
    for name, value in scores.items():
        if name in ACTIONS:
            continue
        label = attributes.label(name) or name.lower()
        if labels.setdefault(label, value) != value:
            raise invalid(f"Attribute {name} has two scores under two names")
    return labels


def feedback(
    request: SuggestRequest,
    comment: CommentEvent,
    scores: Mapping[str, float],
    labels: Mapping[str, float],
    topic: str,
) -> Outgoing:
    """Return the record of a decision, the comment's text with it."""
    decided_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    actions = [ACTIONS[name] for name, value in scores.items() if name in ACTIONS and value > 0]
    payload: dict[str, Any] = {
        "comment_id": comment.id,
        "community": request.community_id or None,
        "text": comment.text,
        "labels": labels,
        "action": actions[0] if actions else None,
        "decided_at": decided_at,
    }
    headers = [*cloud_event("feedback", str(uuid4()), decided_at)]
    return Outgoing(topic, comment.id.encode(), encode(payload), headers)
