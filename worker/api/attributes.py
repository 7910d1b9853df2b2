"""Perspective's names for what we score, and the labels that stand behind them."""

from collections.abc import Sequence
from typing import Final

# Two have another name there; OBSCENE is what PROFANITY was called before.
OTHER_NAMES: Final = {
    "toxic": ("TOXICITY",),
    "severe_toxic": ("SEVERE_TOXICITY",),
    "obscene": ("PROFANITY", "OBSCENE"),
    "identity_hate": ("IDENTITY_ATTACK",),
}

EXPERIMENTAL: Final = "_EXPERIMENTAL"


class Attributes:
    """The attributes that a bundle answers for.

    Args:
        labels: the bundle's. One that Perspective does not know goes by its own name.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = {
            name: label for label in labels for name in OTHER_NAMES.get(label, (label.upper(),))
        }

    @property
    def names(self) -> list[str]:
        """Every name that is known."""
        return list(self._labels)

    def label(self, attribute: str) -> str | None:
        """Return the label behind an attribute; None: no model is here for it.

        Old clients name a version (TOXICITY@6) or what was an experiment once
        (TOXICITY_EXPERIMENTAL).
        """
        name = attribute.partition("@")[0].removesuffix(EXPERIMENTAL)
        return self._labels.get(name)
