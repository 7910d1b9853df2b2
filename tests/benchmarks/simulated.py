"""One worker, simulated: how long comments wait at a load that no machine at hand can bear.

The rooms and the queues between them are those of `worker/pipeline.py`: a window is drawn only when
the one before it has been taken, so that what is not drawn yet can still grow. What a room costs is
measured; the rest follows. Workers share nothing but the broker, so one with its share of the load
stands for them all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]


class Cost(NamedTuple):
    """What a room takes, in seconds: for each window, and for each comment or token in it."""

    window_s: float
    item_s: float

    def of(self, items: float) -> float:
        """Return what a window of so many comments, or tokens, takes."""
        return self.window_s + self.item_s * items


@dataclass(frozen=True, slots=True)
class SimulatedWorker:
    """A worker by what its rooms cost and how it makes windows.

    Attributes:
        prepare: by comments.
        score: by tokens.
        publish: by comments.
        max_messages: in a window.
        max_wait_s: for companions of a window's first comment.
    """

    prepare: Cost
    score: Cost
    publish: Cost
    max_messages: int = 500
    max_wait_s: float = 0.02

    def capacity(self, tokens: float) -> float:
        """Return comments a second, of so many tokens each, that its slowest room lets pass."""
        full = self.max_messages
        rooms = (self.prepare.of(full), self.score.of(full * tokens), self.publish.of(full))
        return full / max(rooms)

    def latencies(self, arrivals: Seconds, tokens: NDArray[np.int64]) -> Seconds:
        """Return for each comment the seconds from its arrival to its committed verdict.

        Args:
            arrivals: [comments] seconds, in order.
            tokens: [comments] that each is cut into.
        """
        found = np.empty_like(arrivals)
        for comments, committed in self._windows(arrivals, np.append(0, np.cumsum(tokens))):
            found[comments] = committed - arrivals[comments]
        return found

    def _windows(
        self, arrivals: Seconds, tokens_before: NDArray[np.int64]
    ) -> Iterator[tuple[slice, float]]:
        """Yield the comments of each window, and when it is committed."""
        begin = 0
        on_device = in_publish = committed = 0.0  # of the window before
        while begin < len(arrivals):
            end, fetched = self._fetch(arrivals, begin, free=on_device)
            size = end - begin
            tokens = float(tokens_before[end] - tokens_before[begin])
            on_device = max(fetched + self.prepare.of(size), in_publish)
            in_publish = max(on_device + self.score.of(tokens), committed)
            committed = in_publish + self.publish.of(size)
            yield slice(begin, end), committed
            begin = end

    def _fetch(self, arrivals: Seconds, begin: int, free: float) -> tuple[int, float]:
        """Return behind which comment a window ends, and when it is fetched."""
        first = max(free, float(arrivals[begin]))
        most = min(begin + self.max_messages, len(arrivals))
        there = int(np.searchsorted(arrivals, first + self.max_wait_s, side="right"))
        end = max(begin + 1, min(most, there))
        is_full = end - begin == self.max_messages
        return end, max(first, float(arrivals[end - 1])) if is_full else first + self.max_wait_s


def poisson(per_s: float, comments: int, seed: int) -> Seconds:
    """Return when comments arrive that know nothing of each other."""
    gaps = np.random.default_rng(seed).exponential(1 / per_s, comments)
    return np.cumsum(gaps)
