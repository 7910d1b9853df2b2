"""CommentEvent: what platforms publish on `comments`."""

from typing import Annotated, Final

from pydantic import AwareDatetime, Field

from schemas.contract import CommentId, ForeignContract, Name

# What nobody is judged by. Where one of these is wrong it is left out: a person's long display
# name must not keep a comment from being judged.
INESSENTIAL: Final = frozenset({"author", "parent_id", "language", "created_at"})


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
    revision: int = Field(default=0, ge=0, le=2**63 - 1, description="Grows with each edit.")
    created_at: AwareDatetime | None = None
