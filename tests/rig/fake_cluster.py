"""A cluster with a script, for the answers that a real one gives too seldom to be waited for.

It keeps transactions as Kafka does: what is produced counts when it is committed, offsets are
part of the transaction, a new producer ends what the old one left open.
"""

from collections import deque
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from worker.kafka_errors import TOO_LARGE


class Sent(NamedTuple):
    """A message in a transaction."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


def abortable(code: int = KafkaError._TIMED_OUT) -> KafkaError:  # noqa: SLF001 - a public constant
    """Return an error that asks for an abort."""
    return KafkaError(code, "", False, False, True)


def retriable(code: int = KafkaError._TIMED_OUT) -> KafkaError:  # noqa: SLF001 - a public constant
    """Return an error that asks for the same call again."""
    return KafkaError(code, "", False, True, False)


def fatal(code: int = KafkaError._FENCED) -> KafkaError:  # noqa: SLF001 - a public constant
    """Return an error after which a producer is of no use."""
    return KafkaError(code, "", True, False, False)


class FakeCluster:
    """What several producers of one name share.

    Attributes:
        calls: the names of calls in their order, `new` for a producer that was made.
        polls: how often clients served their callbacks.
        script: errors that the next calls of a name fail with, in turn; None lets one pass.
        refuses: says for a message with which code the broker refuses it, or None.
        refuses_at_once: the same, for what the client itself refuses.
        topics: that exist, each with two partitions.
        aborted: partitions of which an open transaction was aborted.
        hang: called while offsets are being sent.
        gate: called with the name of each call that begins; it may wait.
        committed: messages of committed transactions.
        offsets: of committed transactions.
        metadata: of the group, with which offsets were sent, in turn.
        failures: that were to end a process, for whoever notes them.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.polls = 0
        self.script: dict[str, deque[KafkaError | None]] = {}
        self.refuses: Callable[[Sent], int | None] = lambda _: None
        self.refuses_at_once: Callable[[Sent], int | None] = lambda _: None
        self.topics = {"verdicts", "flags", "dead-letters", "feedback"}
        self.aborted: set[tuple[str, int]] = set()
        self.hang: Callable[[], object] = lambda: None
        self.gate: Callable[[str], object] = lambda _: None
        self.committed: list[Sent] = []
        self.offsets: dict[int, int] = {}
        self.metadata: list[object] = []
        self.properties: dict[str, Any] = {}
        self.failures: list[BaseException] = []

    def will_fail(self, call: str, *errors: KafkaError | None) -> None:
        """Write errors into the script."""
        self.script.setdefault(call, deque()).extend(errors)

    def make(self, properties: dict[str, Any]) -> Producer:
        """Make a producer, as `Transactions` asks for it."""
        self.calls.append("new")
        self.properties = properties
        return cast("Producer", _FakeProducer(self))

    def called(self, name: str) -> int:
        """Return how often a call was made."""
        return self.calls.count(name)

    def enter(self, call: str) -> None:
        """Note a call, and fail it if the script says so."""
        self.calls.append(call)
        self.gate(call)
        script = self.script.get(call)
        if script and (error := script.popleft()) is not None:
            raise KafkaException(error)


class _FakeProducer:
    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self._open: list[Sent] = []
        self._partitions: set[tuple[str, int]] = set()
        self._batch: list[tuple[Sent, Callable[[KafkaError | None, Any], None]]] = []
        self._refused: int | None = None
        self._offsets: dict[int, int] = {}
        self._begun = False

    def init_transactions(self, _: float) -> None:
        self._cluster.enter("init")

    def begin_transaction(self) -> None:
        self._cluster.enter("begin")
        assert not self._begun, "a transaction is open already"
        self._begun = True
        self._open, self._batch, self._offsets, self._refused = [], [], {}, None
        self._partitions.clear()

    def produce(  # noqa: PLR0913 - the client's own
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        on_delivery: Callable[[KafkaError | None, Any], None] = lambda _, __: None,
        *,
        partition: int = 0,
    ) -> None:
        assert self._begun, "no transaction was begun"
        try:
            self._cluster.enter("produce")
        except KafkaException as error:
            if error.args[0].code() == KafkaError._QUEUE_FULL:  # noqa: SLF001 - a public constant
                raise BufferError from error
            raise
        sent = Sent(topic, key, value, headers)
        if (code := self._cluster.refuses_at_once(sent)) is not None:
            raise KafkaException(KafkaError(code))
        self._open.append(sent)
        self._partitions.add((topic, partition))
        self._batch.append((sent, on_delivery))

    def flush(self, _timeout_s: float) -> int:
        """Let the broker see what stands in the batch; one that is too large goes as a whole."""
        codes = [self._cluster.refuses(sent) for sent, _ in self._batch]
        if too_large := TOO_LARGE.intersection(codes):
            codes = [min(too_large) for _ in codes]
        for (_, report), code in zip(self._batch, codes, strict=True):
            report(None if code is None else KafkaError(code), None)
            self._refused = self._refused or code
        self._batch = []
        return 0

    def send_offsets_to_transaction(
        self, offsets: list[TopicPartition], metadata: object, timeout_s: float
    ) -> None:
        assert metadata is not None, "offsets without the group's metadata are not fenced"
        self._cluster.metadata.append(metadata)
        self._cluster.enter("send_offsets")
        self._cluster.hang()
        self.flush(timeout_s)
        if self._refused is not None:
            raise KafkaException(abortable(self._refused))
        self._offsets = {place.partition: place.offset for place in offsets}

    def commit_transaction(self, _: float) -> None:
        self._cluster.enter("commit")
        assert self._begun, "no transaction was begun"
        self.flush(0)
        if self._refused is not None:
            raise KafkaException(abortable(self._refused))
        self._begun = False
        self._cluster.committed += self._open
        self._cluster.offsets |= self._offsets

    def abort_transaction(self, _: float) -> None:
        self._cluster.enter("abort")
        self._begun = False
        self._cluster.aborted |= self._partitions

    def purge(self) -> None:
        self._cluster.enter("purge")

    def list_topics(self, timeout: float) -> SimpleNamespace:
        assert timeout > 0
        both = SimpleNamespace(partitions={0: None, 1: None})
        return SimpleNamespace(topics=dict.fromkeys(self._cluster.topics, both))

    def poll(self, _: float) -> int:
        self._cluster.polls += 1
        return 0
