"""A byte for each offset of the comments: what stands there, and what became of it."""

from collections.abc import Iterator, Sequence
from enum import IntFlag
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploy.reconcile.place import OFFSET, OFFSET_BITS, Mask, Numbers

Marks = NDArray[np.uint8]

CHUNK: Final = 1 << 20  # offsets looked at at once


class Mark(IntFlag):
    """What is known of an offset."""

    RECORD = 1  # a committed record stands there; else a gap
    OWES = 2  # it must have a verdict; else it is an erasure, or a dead letter without an id
    VERDICT = 4
    HELD = 8  # the verdict holds it
    LETTER = 16
    EMPTIED = 32  # the dead letter is without its payload
    BLIND = 64  # its id is not its key, or nobody looked into its value
    GONE = 128  # its verdict may have been removed since


class Ledger:
    """The marks of all offsets that are looked at, partition after partition.

    Memory is a byte an offset, and that only where something was marked.

    Args:
        starts: for each partition, the first offset that is looked at.
        tops: for each partition, the end of the log.
    """

    def __init__(self, starts: Sequence[int], tops: Sequence[int]) -> None:
        self.starts = np.array(starts, dtype=np.int64)
        self.tops = np.maximum(np.array(tops, dtype=np.int64), self.starts)
        lengths = self.tops - self.starts
        self._bases = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
        self._marks = np.zeros(int(lengths.sum()), dtype=np.uint8)

    def before(self, places: Numbers) -> Mask:
        """Say which places are below what is looked at."""
        known, starts, _ = self._bounds(places)
        return known & ((places & OFFSET) < starts)

    def within(self, places: Numbers) -> Mask:
        """Say which places are looked at."""
        known, starts, tops = self._bounds(places)
        offsets = places & OFFSET
        return known & (offsets >= starts) & (offsets < tops)

    def marks(self, places: Numbers) -> Marks:
        """Return the marks of places, all of which are looked at."""
        found: Marks = self._marks[self._indices(places)]
        return found

    def mark(self, places: Numbers, marks: Marks) -> Mask:
        """Add marks, and say where the same place is given for the first time.

        Args:
            places: all looked at; one may stand there more than once.
            marks: one for each.
        """
        indices = self._indices(places)
        np.bitwise_or.at(self._marks, indices, marks)
        _, first = np.unique(indices, return_index=True)
        is_first = np.zeros(len(places), dtype=np.bool_)
        is_first[first] = True
        return is_first

    def chunks(self) -> Iterator[tuple[Numbers, Marks]]:
        """Yield all places with their marks, a piece at a time."""
        for number, (base, start, top) in enumerate(
            zip(self._bases.tolist(), self.starts.tolist(), self.tops.tolist(), strict=True)
        ):
            for offset in range(start, top, CHUNK):
                end = min(offset + CHUNK, top)
                places = np.arange(offset, end, dtype=np.int64) | (number << OFFSET_BITS)
                yield places, self._marks[base + offset - start : base + end - start]

    def _bounds(self, places: Numbers) -> tuple[Mask, Numbers, Numbers]:
        """Say which places are of a partition that exists, and return its bounds."""
        numbers = places >> OFFSET_BITS
        known = (numbers >= 0) & (numbers < len(self.starts))
        numbers = np.where(known, numbers, 0)
        return known, self.starts[numbers], self.tops[numbers]

    def _indices(self, places: Numbers) -> Numbers:
        numbers = places >> OFFSET_BITS
        found: Numbers = self._bases[numbers] + (places & OFFSET) - self.starts[numbers]
        return found
