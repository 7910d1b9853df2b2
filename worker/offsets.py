"""At least once: offsets on their way from the publisher to the only thread that may commit."""

from collections.abc import Iterable
from threading import Lock

from confluent_kafka import TopicPartition

from worker.window import Partition, Record


def next_offsets(records: Iterable[Record]) -> list[TopicPartition]:
    """Return for each partition the offset after its last record, with that record's epoch.

    The epoch lets the broker notice that the log was cut off below the offset (KIP-320).
    """
    last = {record.partition: record for record in records}
    return [
        TopicPartition(
            partition.topic,
            partition.number,
            record.offset + 1,
            leader_epoch=-1 if record.leader_epoch is None else record.leader_epoch,
        )
        for partition, record in last.items()
    ]


class Offsets:
    """Written by publish, taken by intake."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._due: dict[tuple[str, int], TopicPartition] = {}

    def put(self, offsets: Iterable[TopicPartition]) -> None:
        """Note offsets whose verdicts are published; a later one replaces an earlier one."""
        with self._lock:
            self._due.update({(o.topic, o.partition): o for o in offsets})

    def take(self) -> list[TopicPartition]:
        """Return what is due, once."""
        with self._lock:
            due, self._due = list(self._due.values()), {}
        return due

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Forget what is due for partitions that are no longer ours to commit."""
        with self._lock:
            for partition in partitions:
                self._due.pop((partition.topic, partition.number), None)
