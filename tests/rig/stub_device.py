"""A device whose logits are a hash of the text, behind the worker's own scorer.

Windows pass the real micro-batches, so that a result that lands in the wrong row shows. Memory
that is full and a device that broke are raised as a real engine raises them.
"""

import os
import signal
from collections.abc import Sequence
from itertools import count
from math import inf, log
from threading import Event
from typing import Final

import numpy as np

from rig.points import Points
from rig.stub import stub_manifest, stub_scores
from worker.batching import Layout, MicroBatch, padded
from worker.scoring.engine import DeviceMemoryError, Logits
from worker.tokenise import Pieces

BUDGET: Final = 4_096
LAYOUT: Final = Layout(8)
LONGEST: Final = stub_manifest().max_length


class StubDevice:
    """An engine, and the tokeniser that goes with it.

    A text is tokenised into the number under which its logits are kept, once for each word.

    Args:
        points: `micro_batch` is passed before each.
        seconds: that a window takes, at least.
        memory: padded tokens of the largest micro-batch that fits.
        poison: a text that kills the process when it is scored.
    """

    description = "stub"
    budget = BUDGET
    requests = 1
    layout = LAYOUT

    def __init__(
        self,
        points: Points,
        seconds: float = 0,
        memory: int = BUDGET,
        poison: str | None = None,
    ) -> None:
        self._points = points
        self._seconds = seconds
        self._memory = memory
        self._poison = poison
        self._poisoned: set[int] = set()  # written and read like the logits
        self._numbers = count(1)
        self._logits: dict[int, list[float]] = {}  # written by intake, read by the device's thread

    def tokenise(self, texts: Sequence[str]) -> list[Pieces]:
        """Return one piece a text."""
        return [self._pieces(text) for text in texts]

    def logits(self, batches: Sequence[MicroBatch]) -> list[Logits]:
        """Return the logits of each micro-batch, in order."""
        Event().wait(self._seconds)
        rows = [padded(batch, LAYOUT).ids for batch in batches]
        for ids in rows:
            self._points.passed("micro_batch")
            if ids.size > self._memory:
                raise DeviceMemoryError("stub: out of memory")
        numbers = [ids[: len(batch), 0].tolist() for ids, batch in zip(rows, batches, strict=True)]
        if any(not self._poisoned.isdisjoint(batch) for batch in numbers):
            os.kill(os.getpid(), signal.SIGKILL)
        return [np.array([self._logits.pop(n) for n in batch], np.float32) for batch in numbers]

    def _pieces(self, text: str) -> Pieces:
        number = next(self._numbers)
        self._logits[number] = [_logit(p) for p in stub_scores(text)]
        if text == self._poison:
            self._poisoned.add(number)
        words = text[: 16 * LONGEST].split()
        return Pieces(([number] * min(max(1, len(words)), LONGEST),), truncated=False)


def _logit(p: float) -> float:
    if p in (0, 1):
        return inf if p else -inf
    return log(p / (1 - p))
