"""Where each partition goes on: what the client has handed over it may not hand over again.

A rebalance pauses the partitions that stay, too. Where `consume()` is just about to return, the
client then fetches once more what it returned (librdkafka 2.15.1: a barrier is put behind the
messages, the position to resume at is copied, and only then moved on). Nobody is told of it.
"""

from collections.abc import Iterable

from confluent_kafka import TopicPartition

Place = tuple[str | None, int | None]  # topic and partition


class Positions:
    """The next offset of each partition that is assigned. Of one thread."""

    def __init__(self) -> None:
        self._next: dict[Place, int] = {}

    def begin(self, places: Iterable[TopicPartition]) -> None:
        """Note where partitions begin that are assigned now."""
        self._next |= {(place.topic, place.partition): place.offset for place in places}

    def forget(self, places: Iterable[Place]) -> None:
        """Note that partitions are not ours any more."""
        for place in places:
            self._next.pop(place, None)

    def clear(self) -> None:
        """Note that no partition is ours."""
        self._next.clear()

    def passes(self, place: Place, offset: int) -> bool:
        """Say whether a message is due, and go on behind it."""
        if offset < self._next.get(place, offset + 1):
            return False
        self._next[place] = offset + 1
        return True
