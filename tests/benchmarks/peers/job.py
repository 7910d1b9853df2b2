"""What a contestant's process is told, and what it answers: one JSON object each way."""

from collections.abc import Sequence
from typing import TypedDict

from benchmarks.peers.engines.engine import Scores


class Job(TypedDict):
    """Texts to score, in this order.

    Attributes:
        warm: scored first and not timed, so that no engine pays for its first call.
        texts: scored at once, and timed: none of them has been met before.
        alone: of `texts` so many, from the first, are scored once more one by one.
        lone: scored alone `repeats` times, and timed.
        repeats: how many times.
    """

    warm: Sequence[str]
    texts: Sequence[str]
    alone: int
    lone: str
    repeats: int


class Answer(TypedDict):
    """What came of it.

    Attributes:
        ready_s: from the process's start to its first comment scored.
        seconds: for `texts`, from strings to probabilities.
        scores: of `texts`.
        alone: of those scored one by one.
        lone_ms: of each repeat.
        peak_mb: the most memory that the process had.
    """

    ready_s: float
    seconds: float
    scores: Scores
    alone: Scores
    lone_ms: Sequence[float]
    peak_mb: float
