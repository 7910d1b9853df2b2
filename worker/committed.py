"""How far this process itself has committed: a second witness to the group's offsets.

The group's offsets are the broker's to keep, and it may lose some. Kafka 4.3.1 does when it loads
a partition of `__consumer_offsets` twice at once after a restart: the coordinator then goes on from
the middle of its log. All that lies below was judged and committed long ago.
"""

from collections.abc import Iterable
from threading import Lock

from confluent_kafka import TopicPartition


class Committed:
    """Written by publish after a commit, read by intake at an assignment."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._offsets: dict[tuple[str, int], int] = {}

    def note(self, offsets: Iterable[TopicPartition]) -> None:
        """Note offsets whose transaction has been committed."""
        with self._lock:
            for place in offsets:
                key = (place.topic, place.partition)
                self._offsets[key] = max(place.offset, self._offsets.get(key, 0))

    def forget(self) -> None:
        """Forget all: what is called committed may come to be undone (`left_open`)."""
        with self._lock:
            self._offsets.clear()

    def of(self, place: TopicPartition) -> int:
        """Return the offset up to which this process has committed a partition; 0 if never."""
        with self._lock:
            return self._offsets.get((place.topic, place.partition), 0)
