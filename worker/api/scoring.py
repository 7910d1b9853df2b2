"""Our own call, `POST /v1/score`: what goes in and what comes out."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AliasChoices, Field, NonNegativeInt, model_validator

from schemas.contract import CommentId, Contract, ForeignContract, Name, Probability
from schemas.verdict import BORDERLINE, Action, Model

# Perspective's name of it, too: passed over, it would publish what its author keeps back.
DO_NOT_STORE: Final = AliasChoices("do_not_store", "doNotStore")


class CommentToScore(ForeignContract):
    """One comment."""

    text: str = Field(description="The comment as its author wrote it.")
    id: CommentId | None = Field(default=None, description="Echoed.")
    community: Name | None = Field(default=None, description="Selects the policy.")
    language: Annotated[str, Field(max_length=35)] | None = Field(
        default=None, description="A BCP 47 tag; detected if it is left out."
    )
    do_not_store: bool = Field(
        default=False, validation_alias=DO_NOT_STORE, description="Publish nothing of it."
    )


class ScoreRequest(ForeignContract):
    """One comment by its `text`, or many as `comments`."""

    text: str | None = Field(default=None, description="The text of a single comment.")
    id: CommentId | None = None
    community: Name | None = None
    language: Annotated[str, Field(max_length=35)] | None = None
    do_not_store: bool = Field(default=False, validation_alias=DO_NOT_STORE)
    comments: list[CommentToScore] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def has_one_of_both(self) -> Self:
        """Either a text or comments."""
        if (self.text is None) == (self.comments is None):
            raise ValueError("expected either text or comments")
        return self

    def all_comments(self) -> list[CommentToScore]:
        """Return the comments, one or many."""
        if self.comments is not None:
            return self.comments
        return [
            CommentToScore(
                text=self.text or "",
                id=self.id,
                community=self.community,
                language=self.language,
                do_not_store=self.do_not_store,
            )
        ]


class Status(StrEnum):
    """What became of a comment."""

    SCORED = "scored"
    HELD = "held"  # nobody judged it: a person must
    REFUSED = "refused"  # the operator does not have its language judged


class Result(Contract):
    """What is said of one comment."""

    id: CommentId | None
    status: Status
    reason: str | None = Field(default=None, description="Why it was not scored.")
    scores: dict[str, Probability] = Field(description="By label, on the scale named below.")
    labels: list[str] = Field(description="The labels over the policy's thresholds.")
    borderline: list[str] = Field(
        description=f"The labels that are within {BORDERLINE:g} of a threshold of theirs."
    )
    action: Action
    truncated: bool = Field(description="Parts of a very long comment were not scored.")
    pieces: NonNegativeInt = Field(description="Into which the comment was cut; the worst counts.")
    language: str = Field(description="As given, or as detected; und: undetermined.")


class ScoreAnswer(Contract):
    """The answer: a result for each comment, in order."""

    results: list[Result]
    model: Model
    policy: Name = Field(description="The version of the policy that was applied.")
    scale: Name | None = Field(description="Of the scores; null: the bundle's own probabilities.")
