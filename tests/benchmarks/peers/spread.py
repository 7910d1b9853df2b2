"""A median with its spread, over the rounds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Self


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, the least and the most of some figures."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Self:
        """Return it for figures of which there is at least one."""
        return cls(median(figures), min(figures), max(figures))

    def rounded(self, digits: int = 1) -> dict[str, float]:
        """Return it as JSON has it."""
        return {name: round(figure, digits) for name, figure in asdict(self).items()}
