"""Records of a topic, read-committed, up to a given end, in batches of bounded weight."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from time import monotonic
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from deploy.reconcile.cluster import UnreadableError

BATCH_BYTES: Final = 16 * 2**20  # of a batch, as far as the one before tells
MOST_MESSAGES: Final = 10_000
WAIT_S: Final = 0.2
# The worker's longest transaction takes 60 s, and a broker looks for overdue ones every 10 s.
PATIENCE_S: Final = 90.0

# Errors that no waiting mends.
HOPELESS: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - a public constant
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - a public constant
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - a public constant
        KafkaError._AUTHENTICATION,  # noqa: SLF001 - a public constant
    }
)


class Reading:
    """The way through one topic.

    Args:
        topic: its name.
        begins: where each partition is begun.
        ends: up to where it is read; what is not committed below is waited for.
        glance: called between batches.
    """

    def __init__(
        self, topic: str, begins: Sequence[int], ends: Sequence[int], glance: Callable[[], None]
    ) -> None:
        self._topic = topic
        self._at = list(begins)
        self._ends = ends
        self._open = {n for n, end in enumerate(ends) if begins[n] < end}
        self._glance = glance
        self._moved_at = monotonic()

    def batches(self, properties: dict[str, Any]) -> Iterator[list[Message]]:
        """Yield the records of all partitions; each partition's in order.

        Raises:
            UnreadableError: this user may not read, records are gone, or an open transaction
                hides what stands behind it.
        """
        if not self._open:
            return
        with closing(Consumer(properties)) as consumer:
            consumer.assign([TopicPartition(self._topic, n, self._at[n]) for n in self._open])
            most = 100
            while self._open:
                batch = [m for m in consumer.consume(most, WAIT_S) if self._is_record(m)]
                self._leave_finished(consumer)
                if batch:
                    self._moved_at = monotonic()
                    weight = sum(map(len, batch)) // len(batch)
                    most = max(10, min(MOST_MESSAGES, BATCH_BYTES // max(1, weight)))
                    yield batch
                elif monotonic() - self._moved_at > PATIENCE_S:
                    raise UnreadableError(self._standstill())
                self._glance()

    def _is_record(self, message: Message) -> bool:
        """Take note of how far a message shows the partition to be read."""
        error, number = message.error(), message.partition() or 0
        offset = message.offset() or 0
        if error is None:
            self._at[number] = offset + 1
            return offset < self._ends[number]
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - a public constant
            if offset > self._at[number]:
                self._moved_at = monotonic()
            self._at[number] = offset
        elif error.code() in HOPELESS or error.fatal():
            raise UnreadableError(f"topic {self._topic}, partition {number}: {error.str()}")
        return False

    def _leave_finished(self, consumer: Consumer) -> None:
        finished = {n for n in self._open if self._at[n] >= self._ends[n]}
        if finished:
            self._open -= finished
            consumer.incremental_unassign([TopicPartition(self._topic, n) for n in finished])

    def _standstill(self) -> str:
        number = min(self._open)
        return (
            f"topic {self._topic}, partition {number}: nothing came for {PATIENCE_S:g} s from "
            f"offset {self._at[number]} on, the log ends at {self._ends[number]}: an open "
            "transaction hides it, or the broker is away"
        )
