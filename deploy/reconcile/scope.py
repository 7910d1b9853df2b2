"""What is asked: which offsets must have an outcome, and what the topics may have forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deploy.reconcile.place import OFFSET, OFFSET_BITS, Mask, Numbers


@dataclass(frozen=True, slots=True)
class Memory:
    """What a topic may have forgotten by itself."""

    superseded: bool = False  # compaction: records that a later one of their key replaces
    stones: bool = False  # compaction: tombstones that have served their time
    beginning: bool = False  # its log does not begin at 0
    unread: bool = False  # it could not be read at all


@dataclass(frozen=True, slots=True)
class Memories:
    """What each topic may have forgotten."""

    comments: Memory = Memory()
    verdicts: Memory = Memory()
    flags: Memory = Memory()
    letters: Memory = Memory()


class Scope:
    """Which offsets of each partition of the comments must, may and must not have an outcome.

    Args:
        starts: the first offset that is looked at.
        cuts: what the group had committed before any outcome was read: below, an outcome
            must be there.
        ends: what it had committed after all were read: from here on, none may be.
        whole: nothing stands below the starts.
    """

    def __init__(
        self, starts: Sequence[int], cuts: Sequence[int], ends: Sequence[int], *, whole: bool
    ) -> None:
        self.starts = np.array(starts, dtype=np.int64)
        self.cuts = np.array(cuts, dtype=np.int64)
        self.ends = np.maximum(np.array(ends, dtype=np.int64), self.cuts)
        self.whole = whole

    def must(self, places: Numbers) -> Mask:
        """Say which places must have an outcome, if a record stands there."""
        return self._between(places, self.starts, self.cuts)

    def may(self, places: Numbers) -> Mask:
        """Say which places must or may have one."""
        return self._between(places, self.starts, self.ends)

    def _between(self, places: Numbers, lowest: Numbers, ends: Numbers) -> Mask:
        numbers, offsets = places >> OFFSET_BITS, places & OFFSET
        known = (numbers >= 0) & (numbers < len(ends))
        numbers = np.where(known, numbers, 0)
        found: Mask = known & (offsets >= lowest[numbers]) & (offsets < ends[numbers])
        return found
