"""Probabilities to action: thresholds per label, per community."""

from typing import Self

from pydantic import Field, model_validator

from schemas.contract import Contract, Name, Probability


class LabelPolicy(Contract):
    """From which probability a label is set, and from which the comment is removed unread."""

    review: Probability = Field(description="At or over it the label is set: a person looks.")
    remove: Probability | None = Field(
        default=None, description="At or over it the comment is removed; null: never unread."
    )

    @model_validator(mode="after")
    def remove_is_not_below_review(self) -> Self:
        """A comment that is removed is one that would have been reviewed."""
        if self.remove is not None and self.remove < self.review:
            raise ValueError(f"remove ({self.remove:g}) is below review ({self.review:g})")
        return self


class Policy(Contract):
    """The policy of a site. A community without an entry of its own takes the default.

    A community's entry names only the labels in which it differs from the default.
    """

    version: Name
    scale: Name | None = Field(
        default=None,
        description="Where thresholds come from: an earlier bundle, by its version, or "
        "`perspective`; the bundle must have a map to it. null: they are this bundle's.",
    )
    default: dict[str, LabelPolicy]
    communities: dict[str, dict[str, LabelPolicy]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def communities_name_labels_of_the_default(self) -> Self:
        """A misspelt label would silently leave a community without its threshold."""
        for community, labels in self.communities.items():
            unknown = sorted(labels.keys() - self.default.keys())
            if unknown:
                raise ValueError(f"community {community!r}: unknown labels {', '.join(unknown)}")
        return self

    def for_community(self, community: str | None) -> dict[str, LabelPolicy]:
        """Return the thresholds that hold in a community."""
        return self.default | self.communities.get(community or "", {})
