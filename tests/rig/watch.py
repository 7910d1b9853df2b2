"""A reader that looks on while faults happen: I8 and I4 of the checker.

I8  what it read, read-committed, is what a reader finds who comes afterwards
I4  the group's offsets, sampled every 200 ms, never go back
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from threading import Event, Thread
from typing import Final

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from worker.window import Record

SAMPLE_S: Final = 0.2
ANSWER_S: Final = 5.0

Sequences = dict[tuple[str, int], list[int]]  # topic and partition -> a hash for each record


class Watch:
    """Reads outcomes and samples offsets in a thread of its own, from now on.

    Args:
        servers: where Kafka is.
        group: whose offsets.
        comments: the topic that they are of.
        outcomes: topics to be read.
        partitions: of each topic.
    """

    def __init__(
        self, servers: str, group: str, comments: str, outcomes: Sequence[str], partitions: int
    ) -> None:
        common = {"bootstrap.servers": servers, "enable.auto.commit": False, "log_level": 0}
        reader = {"group.id": f"{group}-onlooker", "isolation.level": "read_committed"}
        sampler = {"group.id": group, "isolation.level": "read_uncommitted"}
        self._reader = Consumer(common | reader | {"auto.offset.reset": "error"})
        self._sampler = Consumer(common | sampler)
        self._places = [TopicPartition(comments, n) for n in range(partitions)]
        self._seen: Sequences = defaultdict(list)
        self._offsets: dict[int, int] = {}
        self._broken: list[str] = []
        self.samples = 0
        self._enough = Event()
        self._reader.assign([TopicPartition(t, n, 0) for t in outcomes for n in range(partitions)])
        self._thread = Thread(target=self._look, name="onlooker", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._enough.set()
        self._thread.join()

    def has_seen(self, number: int) -> bool:
        """Say whether so many records were read."""
        return bool(self._broken) or sum(map(len, self._seen.values())) >= number

    def violations(self, afterwards: Sequence[Record]) -> Iterator[str]:
        """Compare with what was read afterwards, once as many records were seen."""
        found: Sequences = defaultdict(list)
        for r in afterwards:
            found[r.partition.topic, r.partition.number].append(_hash(r.offset, r.key, r.value))
        if found != self._seen:
            wrong = sorted(p for p in found.keys() | self._seen.keys() if found[p] != self._seen[p])
            yield f"I8 another sequence was seen during the faults: {wrong}"
        if not self.samples:
            yield "I4 the group's offsets were never looked at"
        yield from self._broken

    def _look(self) -> None:
        with closing(self._reader), closing(self._sampler):
            while not self._enough.is_set():
                for message in self._reader.consume(10_000, SAMPLE_S):
                    self._see(message)
                with suppress(KafkaException):  # a broker may be away: the next sample will do
                    self._sample()

    def _see(self, message: Message) -> None:
        error = message.error()
        if error is None:
            place = message.topic() or "", message.partition() or 0
            self._seen[place].append(_hash(message.offset(), message.key(), message.value()))
        elif error.fatal() or not error.retriable():
            self._broken.append(f"I8 the onlooker failed: {error.name()}")

    def _sample(self) -> None:
        for place in self._sampler.committed(self._places, ANSWER_S):
            before = self._offsets.get(place.partition, -1)
            if place.error is None and 0 <= place.offset < before:
                self._broken.append(
                    f"I4 partition {place.partition}: the committed offset went back "
                    f"from {before} to {place.offset}"
                )
            if place.error is None and place.offset >= 0:
                self._offsets[place.partition] = place.offset
        self.samples += 1


def _hash(offset: int | None, key: bytes | None, value: bytes | None) -> int:
    return hash((offset, key, value))
