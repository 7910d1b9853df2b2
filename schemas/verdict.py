"""Verdict and Flag: what tidegate publishes for each comment."""

import hashlib
from enum import StrEnum
from typing import Final, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, NonNegativeInt, model_validator

from schemas.contract import CommentId, Contract, Name, Probability
from schemas.dead_letter import Reason

# Fixed for ever: a verdict's id must come out the same in every release.
VERDICT_NAMESPACE: Final = UUID("6a0f6c2e-54a4-5b0e-9d36-0c6f1a3f7d10")
_NAMESPACE_HASH: Final = hashlib.sha1(VERDICT_NAMESPACE.bytes, usedforsecurity=False)

# As far as a score may move with what must not matter: the other comments of its batch, padding.
# The engines for CPUs are tested against it.
BORDERLINE: Final = 0.01


def verdict_id(topic: str, partition: int, offset: int, bundle_version: str) -> str:
    """Return the id under which a comment's verdict can be recognised when it is repeated.

    The same as `uuid.uuid5`, at a third of its cost: this runs once a comment.

    Source: RFC 9562, section 5.5 (UUID version 5).
    """
    name = f"{topic}/{partition}/{offset}/{bundle_version}".encode()
    sha1 = _NAMESPACE_HASH.copy()
    sha1.update(name)
    found = sha1.hexdigest()
    variant = "89ab"[int(found[16], 16) & 3]
    return f"{found[:8]}-{found[8:12]}-5{found[13:16]}-{variant}{found[17:20]}-{found[20:32]}"


class Status(StrEnum):
    """Whether a model judged the comment."""

    SCORED = "scored"
    HELD = "held"


class Action(StrEnum):
    """What the policy asks the platform to do."""

    ALLOW = "allow"
    REVIEW = "review"
    REMOVE = "remove"


class Model(Contract):
    """The bundle that scored: its name, and the hash of its contents."""

    name: Name
    version: Name


class Source(Contract):
    """Where the comment stood in Kafka. `timestamp` is in milliseconds since 1970."""

    topic: Name
    partition: NonNegativeInt
    offset: NonNegativeInt
    timestamp: int


class Verdict(Contract):
    """What became of one comment. Its key is the comment's id; it never holds the text."""

    verdict_id: UUID = Field(description="The same for the same comment, position and bundle.")
    comment_id: CommentId
    revision: NonNegativeInt | None = Field(description="Null where it could not be read.")
    community: Name | None
    status: Status
    reason: Reason | None = Field(default=None, description="Why the comment is held.")
    scores: dict[str, Probability] = Field(description="Calibrated probability per label.")
    labels: list[str] = Field(description="The labels over the policy's thresholds.")
    borderline: list[str] = Field(
        default_factory=list,
        description=f"The labels whose score is within {BORDERLINE:g} of a threshold of theirs: "
        "scored in other company they might have come out otherwise.",
    )
    action: Action
    truncated: bool = Field(description="Parts of a very long comment were not scored.")
    model: Model
    policy: Name = Field(description="The version of the policy that was applied.")
    scored_at: AwareDatetime
    source: Source | None = Field(description="Null for a comment that came over the API.")

    @model_validator(mode="after")
    def held_says_why_and_scored_has_scores(self) -> Self:
        """A held verdict has a reason and no scores; a scored one has scores and no reason."""
        held = self.status is Status.HELD
        if held != (self.reason is not None) or held != (not self.scores):
            raise ValueError("a held verdict has a reason and no scores, a scored one the reverse")
        if held and self.action is Action.ALLOW:
            raise ValueError("a held verdict is never allowed: tidegate fails closed")
        return self


class Flag(Verdict):
    """The verdict once more, on `flags`, where the action is not allow."""
