"""Reads what the workers publish, as a platform would: committed transactions only."""

from time import monotonic
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from deploy.demo.tally import Tally
from schemas.errors import ClusterError
from schemas.verdict import Flag, Verdict
from worker.settings import TopicSettings

MOST_AT_ONCE: Final = 500
METADATA_S: Final = 15.0
END_S: Final = 30.0
TICK_S: Final = 0.1


class Outcomes:
    """Verdicts, flags and dead letters, from their beginning; a `tally` is told of each.

    Args:
        bootstrap_servers: where Kafka is.
        topics: what they are called; they exist.
        tally: counts.
    """

    def __init__(self, bootstrap_servers: str, topics: TopicSettings, tally: Tally) -> None:
        self._servers = bootstrap_servers
        self._topics = topics
        self._tally = tally
        self._ends: dict[tuple[str, int], int] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "log_level": 0,  # errors come with the messages
                "group.id": "tidegate-demo",  # the client wants one; the group is never joined
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,  # partitions found later wait behind a fetch that waits
                "isolation.level": "read_committed",
            }
        )
        self._partitions = [
            TopicPartition(topic, number, OFFSET_BEGINNING)
            for topic in (topics.verdicts, topics.flags, topics.dead_letters)
            for number in self._consumer.list_topics(topic, METADATA_S).topics[topic].partitions
        ]
        self._consumer.assign(self._partitions)

    def read(self, wait_s: float) -> None:
        """Wait so long for a first message, and read those that came with it.

        Raises:
            ClusterError: the broker does not let us read.
        """
        first = self._consumer.poll(wait_s)
        if first is None:
            return
        now = monotonic()
        for message in (first, *self._consumer.consume(MOST_AT_ONCE, 0)):
            self._take(message, now)

    def read_to_the_end(self) -> None:
        """Read what is left, now that nobody writes any more.

        Raises:
            ClusterError: the end was not reached in END_S.
        """
        ends = self._latest()
        deadline = monotonic() + END_S
        while any(self._ends.get(partition, 0) < end for partition, end in ends.items()):
            if monotonic() > deadline:
                raise ClusterError(
                    f"the end of the verdicts was not reached within {END_S:.0f} s",
                    "a transaction may hang; look at the workers' logs",
                )
            self.read(TICK_S)

    def _latest(self) -> dict[tuple[str, int], int]:
        """Ask for the end of each partition, in one request."""
        admin = AdminClient({"bootstrap.servers": self._servers, "log_level": 0})
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the client's
        asked = admin.list_offsets(dict.fromkeys(self._partitions, latest))
        return {(p.topic, p.partition): future.result().offset for p, future in asked.items()}

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()

    def _take(self, message: Message, now: float) -> None:
        topic, error = message.topic(), message.error()
        if error is not None:
            self._take_error(message, error)
        elif topic == self._topics.verdicts:
            self._tally.verdict(Verdict.model_validate_json(message.value() or b""), now)
        elif topic == self._topics.flags:
            self._tally.flag(Flag.model_validate_json(message.value() or b""))
        else:
            key: Any = message.key()
            self._tally.dead_letter((key or b"").decode(errors="replace"))

    def _take_error(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - a public constant
            self._ends[message.topic() or "", message.partition() or 0] = message.offset() or 0
        elif not error.retriable():
            raise ClusterError(f"verdicts cannot be read: {error.str()}")
