"""A place: partition and offset in one number, so that places compare as offsets do."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

OFFSET_BITS: Final = 44  # 17 million million records in a partition, half a million partitions
OFFSET: Final = (1 << OFFSET_BITS) - 1
MOST_PARTITIONS: Final = (1 << 63 - OFFSET_BITS) - 1
MIX: Final = np.int64(
    -7046029254386353131
)  # 2^64 over the golden ratio: spreads a place over all bits
NOWHERE: Final = -1  # of a tombstone, which does not say what it came of
BY_API: Final = -2  # of a comment that came over the API, and stands on no topic


class Position(NamedTuple):
    """Where a record stands in Kafka."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def place(partition: int, offset: int) -> int:
    """Return the place of a record."""
    return partition << OFFSET_BITS | offset


def position(topic: str, where: int) -> Position:
    """Return what a place of a topic means."""
    return Position(topic, where >> OFFSET_BITS, where & OFFSET)
