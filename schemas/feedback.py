"""What moderators decided, on `feedback`: the labels that a later bundle is trained on."""

from uuid import UUID

from pydantic import AwareDatetime, Field

from schemas.contract import CommentId, ForeignContract, Name, Probability
from schemas.verdict import Action


class Feedback(ForeignContract):
    """One decision of a person about one comment. The record's key is the comment's id."""

    comment_id: CommentId
    verdict_id: UUID | None = Field(default=None, description="The verdict it answers, if known.")
    community: Name | None = None
    text: str | None = Field(
        default=None,
        description="The comment, to learn from. An erasure of the comment makes it forgotten.",
    )
    labels: dict[str, Probability] = Field(
        description="What is so, per label: 0, 1, or the share of moderators who said so."
    )
    action: Action | None = Field(default=None, description="What was done with the comment.")
    decided_by: Name | None = Field(default=None, description="A role or a pseudonym.")
    decided_at: AwareDatetime
