"""CommentEvent: what platforms publish on `comments`."""

from typing import Annotated

from pydantic import AwareDatetime, Field, NonNegativeInt

from schemas.contract import CommentId, ForeignContract, Name


class CommentEvent(ForeignContract):
    """One comment to judge, or a new revision of one.

    The record's key is the comment's id, so that revisions and the erasure of a comment
    stay in order. A record with that key and a null value is an erasure.
    """

    id: CommentId
    text: str = Field(description="The comment as its author wrote it.")
    community: Name | None = Field(default=None, description="Selects the policy.")
    author: Name | None = Field(default=None, description="Never logged, never in a verdict.")
    parent_id: CommentId | None = None
    language: Annotated[str, Field(max_length=35)] | None = Field(
        default=None, description="A BCP 47 tag, such as en or pt-BR."
    )
    revision: NonNegativeInt = Field(default=0, description="Grows when the author edits.")
    created_at: AwareDatetime | None = None
