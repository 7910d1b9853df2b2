"""The transactional producer: the only file that touches a transaction.

Each call may fail in three ways (`kafka_errors.Answer`), and here each is answered. After any
abort or doubt the producer is rebuilt: librdkafka has no KIP-890 part 2, so a late EndTxn of
the old one could end a transaction of the new one half-way (KAFKA-17754).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from time import monotonic
from types import MappingProxyType
from typing import Any, Final

import structlog
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from schemas.errors import ClusterError, SettingsError, TopicError
from worker.bounded import Bounded
from worker.client_events import CLIENT_LOG, ClientEvents, ConnectionLog, connection_trouble
from worker.kafka_errors import (
    CULPRIT,
    FAILED_BEFORE,
    FENCED,
    HOPELESS,
    STALE_MEMBER,
    TOO_LARGE,
    Answer,
    answer_to,
)
from worker.settings import RECONNECT_MS, SEND_CALL_S, Settings
from worker.shared import Shared
from worker.topics import admin_client
from worker.window import Outgoing

log = structlog.get_logger()

CALL_S: Final = SEND_CALL_S - 1  # one call; it may be called again, and the thread beats in between
LARGEST: Final = 10_485_760  # bytes of one message that the client lets pass: topics decide
LONGEST_PAUSE_S: Final = 2.0  # between aborts that follow one another
START_OVER_S: Final = 60.0  # a producer that cannot be initialised, or commit, is given so long
REBUILD_EVERY_S: Final = 60.0  # fenced more often than this: another worker has our name


class AbortedError(Exception):
    """The transaction came to nothing; the same window may be published again.

    Args:
        code: name of the error that made it so.
        culprits: places of messages that are refused for what they are, with the error.
        suspects: places of messages that were refused in one batch: one of them is at fault.
        stale_member: the group moved on, newer metadata is needed.
    """

    def __init__(
        self,
        code: str,
        culprits: Mapping[int, str] = MappingProxyType({}),
        suspects: Collection[int] = (),
        *,
        stale_member: bool = False,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.culprits = culprits
        self.suspects = suspects
        self.stale_member = stale_member


class Transactions:
    """One transaction at a time.

    Args:
        shared: the pulse is beaten between calls; when draining is overdue, none is repeated.
        make: makes the producer of its properties.
    """

    def __init__(
        self, shared: Shared, make: Callable[[dict[str, Any]], Producer] = Producer
    ) -> None:
        self._settings = shared.settings
        self._metrics = shared.metrics
        self._readiness = shared.readiness
        self._events = shared.events
        self._pulse = shared.pulse
        self._stop = shared.stop
        self._make = make
        self._producer: Producer | None = None
        self._sending = Bounded("offsets")
        self._fenced_at = -REBUILD_EVERY_S  # monotonic
        self._reports: dict[int, KafkaError] = {}  # of messages refused for what they are
        self._certain: set[int] = set()  # places that were refused, or sent, alone
        self._topics: frozenset[str] = frozenset()  # of the window that was sent last
        self._aborts_in_a_row = 0
        self._doubt: str | None = None  # why the producer must be rebuilt before it begins

    def open(self) -> None:
        """Build the producer and end what a predecessor of our name left open.

        The first act of the process: a reader of verdicts waits until it is done.

        Raises:
            ClusterError: the cluster refuses us, or draining is overdue.
        """
        failure = self._initialised()
        while failure and answer_to(failure) is Answer.CALL_AGAIN and not self._stop.overdue():
            self._producer = None  # it may have been told that there are no brokers: see below
            failure = self._initialised()
        if failure:
            raise _refused("init_transactions", failure)
        self._serve()
        self._doubt = None  # what broke before it was initialised can end none of its transactions
        if not self._aborts_in_a_row:  # else a window waits, and a new producer commits nothing yet
            self._readiness.clear("transaction")

    def _initialised(self) -> KafkaError | None:
        """Build the producer and initialise it, for START_OVER_S at most."""
        try:
            self._producer = self._make(self._properties())
        except KafkaException as error:  # properties that do not go together
            raise SettingsError(
                f"kafka producer: {error.args[0].str()}", "see TIDEGATE_KAFKA__CLIENT__…"
            ) from error
        end = monotonic() + START_OVER_S
        return self._call(self._producer.init_transactions, CALL_S, end=end)

    def idle(self) -> None:
        """Serve the client's callbacks while no window comes; they would pile up in memory."""
        if failure := self._serve():
            self._doubt = failure.name()

    def recover(self) -> bool:
        """Rebuild the producer if an abort or a doubt asks for it.

        Not to be called at the gate: while the cluster is away this takes as long as that.

        Returns:
            Whether it was rebuilt.

        Raises:
            ClusterError: as `open`.
            TopicError: a topic was deleted.
        """
        self.idle()  # what the client has to say about the window before is heard now
        if self._doubt is None:
            return False
        if self._stop.overdue():
            raise ClusterError(f"a window was not committed while draining: {self._doubt}")
        log.warning("producer rebuilt", why=self._doubt)
        old = self._built()
        if self._aborts_in_a_row > 1:
            self._serve(min(LONGEST_PAUSE_S, 0.1 * 2**self._aborts_in_a_row))
        try:
            old.abort_transaction(CALL_S)
        except KafkaException as failed:  # the new one's initialisation aborts it
            log.info("abort left to the new producer", code=failed.args[0].name())
        old.purge()
        self._producer = None
        del old
        self.open()
        if self._aborts_in_a_row > 1:
            self._look_for_topics()
        return True

    def end_left_open(self) -> bool:
        """Abort what a broker has left open under our name, on every partition that may have it.

        A marker is written where a transaction has been; so one goes everywhere, and is aborted.
        Readers of committed records never see it. The offset goes under no membership: if the
        group refuses it, the coordinator has noted the group's partition before.

        Returns:
            Whether it is done; else the producer is in doubt, and it may be tried again.

        Raises:
            ClusterError: as `open`.
        """
        self.recover()
        failure = self._call(self._built().begin_transaction)
        failure = failure or self._call(self._mark_everywhere, end=monotonic())
        if not failure:
            send = partial(
                self._built().send_offsets_to_transaction,
                [TopicPartition(self._settings.topics.comments, 0, 0)],
                _no_membership(self._settings),
                CALL_S,
            )
            failure = self._call(partial(self._bounded, send), end=monotonic())
            if failure is None or failure.code() in STALE_MEMBER:
                abort = self._built().abort_transaction
                failure = self._call(abort, CALL_S, end=monotonic() + CALL_S)
        if failure:
            self._doubt = failure.name()
            return False
        self._readiness.clear("transaction")
        return True

    def _mark_everywhere(self) -> None:
        """Put a message into every partition that outcomes and erasures go to."""
        topics = self._settings.topics
        producer = self._built()
        found = producer.list_topics(timeout=CALL_S).topics
        for name in (topics.verdicts, topics.flags, topics.dead_letters, topics.feedback):
            if name not in found:
                raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, name))
            for number in found[name].partitions:
                producer.produce(name, None, b"", partition=number)
        if producer.flush(CALL_S):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - a public constant

    def _look_for_topics(self) -> None:
        """What waits for a topic that was deleted is aborted again and again, and says not why."""
        try:
            found = self._built().list_topics(timeout=CALL_S).topics
        except KafkaException:
            return  # no broker answers: that passes
        if gone := sorted(self._topics.difference(found)):
            raise TopicError(
                f"topic {', '.join(gone)} does not exist any more",
                "`tidegate topics create` makes what is missing",
            )

    def send(
        self,
        messages: Sequence[Outgoing],
        offsets: list[TopicPartition],
        metadata: Any,
        alone: Collection[int] = (),
    ) -> None:
        """Begin, produce, and last of all send the offsets.

        Last, so that a transaction that is torn in two repeats and never loses.

        Args:
            messages: of the window.
            offsets: behind the window; none of comments that came over no topic.
            metadata: of the consumer group.
            alone: places of messages that must not share a batch.

        Raises:
            AbortedError: recover, then publish again.
            ClusterError: the process must end.
        """
        end = monotonic() + self._settings.publish.send_share_s
        producer = self._built()
        self._reports, self._certain = {}, set(alone)
        self._topics = frozenset(message.topic for message in messages)
        failure = self._call(producer.begin_transaction)
        if not failure:
            failure = self._produce(producer, messages, end)
        if not failure and offsets:
            send = partial(producer.send_offsets_to_transaction, offsets, metadata, CALL_S)
            failure = self._call(partial(self._bounded, send), end=end)
        if failure:
            raise self._after_failed_send(failure)

    def commit(self) -> None:
        """Commit; called again until the outcome is known.

        Raises:
            AbortedError: nothing was committed; recover, then publish again.
            ClusterError: the outcome cannot be learnt; nothing may be published again.
        """
        failure = self._committed()
        if not failure:
            self._aborts_in_a_row = 0
            self._readiness.clear("transaction")
            return
        if answer_to(failure) is Answer.PUBLISH_AGAIN:
            raise self._aborted(failure)
        if failure.code() in HOPELESS:  # found while the last messages were delivered
            raise _refused("commit_transaction", failure)
        raise ClusterError(
            f"commit_transaction: {failure.name()}: whether the window was committed is unknown",
            "it was slow, or another one runs under its name: each needs its own TIDEGATE_SLOT"
            if failure.code() in FENCED
            else "start again: a worker goes on from the committed offsets; an API with the next "
            "request",
        )

    def _committed(self) -> KafkaError | None:
        """Commit, for as long as no other client would reach the cluster either.

        One that was told that there are no brokers never connects again, and would have us call
        for ever. It is given up when another client has reached a broker and it has not committed
        in START_OVER_S after that: the coordinator may be away for longer than the other brokers.
        """
        commit = self._built().commit_transaction
        others_did = False
        while True:
            failure = self._call(commit, CALL_S, end=monotonic() + START_OVER_S)
            done = failure is None or answer_to(failure) is not Answer.CALL_AGAIN
            if done or others_did or self._stop.overdue():
                return failure
            others_did = self._others_reach_the_cluster()

    def _others_reach_the_cluster(self) -> bool:
        try:
            admin_client(self._settings).list_topics(timeout=CALL_S)
        except KafkaException:
            return False
        return True

    def close(self) -> None:
        """Let the producer go; a transaction that is open is aborted by the successor."""
        self._producer = None

    # -- one call

    def _call(
        self, act: Callable[..., Any], *timeout_s: float, end: float | None = None
    ) -> KafkaError | None:
        """Call until it succeeds, the answer is another than to call again, or time is over."""
        while True:
            self._pulse.beat()
            try:
                act(*timeout_s)
            except KafkaException as failed:
                error: KafkaError = failed.args[0]
            else:
                return None
            over = self._stop.overdue() or (end is not None and monotonic() > end)
            if answer_to(error) is not Answer.CALL_AGAIN or over:
                return error
            self._readiness.trouble("transaction", f"a window waits: {error.name()}")
            log.warning("called again", code=error.name())
            self._serve(0.1)  # and keep a quick refusal from spinning

    def _bounded(self, send: Callable[[], Any]) -> None:
        """Send the offsets, or leave the producer behind with the call that does not return.

        While the group's coordinator is away the client waits for it, whatever its timeout
        (librdkafka#5456); we hold the gate meanwhile. The next producer fences what this one may
        still send.
        """
        try:
            self._sending(send, SEND_CALL_S)
        except TimeoutError:
            raise KafkaException(
                KafkaError(KafkaError._TIMED_OUT, "the call did not return", False, False, True)  # noqa: SLF001 - a public constant
            ) from None

    def _produce(
        self, producer: Producer, messages: Sequence[Outgoing], end: float
    ) -> KafkaError | None:
        """Put all messages into the client's queue, and name all that it refuses for good.

        One at a time would take an abort for each, and let hostile records end the worker.
        """
        refused: KafkaError | None = None
        for place, message in enumerate(messages):
            is_alone = place in self._certain
            failure = self._flush(end) if is_alone else None
            failure = failure or self._put(producer, place, message, end)
            if failure and failure.code() in CULPRIT:
                self._certain.add(place)
                self._reports[place] = refused = failure
            elif failure:
                return failure
            elif is_alone:
                failure = self._flush(end) or self._reports.get(place)
                if failure:
                    return failure  # the transaction takes nothing more
        return refused or self._serve()

    def _put(
        self, producer: Producer, place: int, message: Outgoing, end: float
    ) -> KafkaError | None:
        """Put one message into the client's queue, waiting for room in it."""
        report = partial(self._delivered, place)
        while True:
            failure = produced(producer, message, report)
            is_full = failure and failure.code() == KafkaError._QUEUE_FULL  # noqa: SLF001 - a public constant
            if not is_full or monotonic() > end:
                return failure
            self._pulse.beat()
            self._serve(0.1)

    def _serve(self, wait_s: float = 0.0) -> KafkaError | None:
        """Serve callbacks; a fatal error of the client may be raised here for the first time."""
        try:
            self._built().poll(wait_s)
        except KafkaException as failed:
            error: KafkaError = failed.args[0]
            return error
        return None

    def _flush(self, end: float) -> KafkaError | None:
        """Have what is queued delivered, while there is time; else as `_serve`."""
        try:
            self._built().flush(max(0.0, min(CALL_S, end - monotonic())))
        except KafkaException as failed:
            error: KafkaError = failed.args[0]
            return error
        return None

    def _delivered(self, place: int, error: KafkaError | None, _: Message | None) -> None:
        """Note what was refused; runs inside the client's calls, in this thread."""
        if error is not None and error.code() in CULPRIT:
            self._reports[place] = error

    # -- what a failure asks of us

    def _after_failed_send(self, failure: KafkaError) -> Exception:
        """Until the offsets are known to be sent, to abort is always safe."""
        self._serve()  # reports of what was refused may still be on their way
        failure = self._reason(failure)
        again = failure.code() == KafkaError._QUEUE_FULL or self._reports  # noqa: SLF001 - a public constant
        if again or answer_to(failure) is not Answer.EXIT:
            return self._aborted(failure)
        if failure.code() not in FENCED:
            return _refused("transaction", failure)
        now = monotonic()
        if now - self._fenced_at < REBUILD_EVERY_S:
            return ClusterError(
                f"transactional.id {self._settings.transactional_id} was fenced twice within "
                f"{REBUILD_EVERY_S:g} s: another worker runs under the same name",
                "give each worker of a group its own TIDEGATE_SLOT",
            )
        self._fenced_at = now
        log.warning("fenced: it was slow, or another worker has its slot", slot=self._settings.slot)
        return self._aborted(failure)

    def _reason(self, failure: KafkaError) -> KafkaError:
        """Say why the transaction has failed already, where a call says only that it has.

        It fails in the background, as when a topic's first batch is refused while a long window is
        still being sent. To begin tells why, and does nothing else then.
        """
        if failure.code() not in FAILED_BEFORE:
            return failure
        try:
            self._built().begin_transaction()
        except KafkaException as failed:
            reason: KafkaError = failed.args[0]
            return reason
        return failure

    def _aborted(self, failure: KafkaError) -> AbortedError:
        self._serve()
        self._metrics.aborts.inc()
        self._aborts_in_a_row += 1
        self._readiness.trouble("transaction", f"a window waits: {failure.name()}")
        self._doubt = failure.name()
        culprits, suspects = self._blame()
        stale = failure.code() in STALE_MEMBER
        return AbortedError(failure.name(), culprits, suspects, stale_member=stale)

    def _blame(self) -> tuple[dict[int, str], list[int]]:
        """Tell who is refused for what it is from who only stood in the same batch.

        The broker refuses a batch that is too large as a whole, and the client reports each
        message in it.
        """
        too_large = {
            place
            for place, error in self._reports.items()
            if error.code() in TOO_LARGE and place not in self._certain
        }
        suspects = sorted(too_large) if len(too_large) > 1 else []
        culprits = {
            place: error.name() for place, error in self._reports.items() if place not in suspects
        }
        return culprits, suspects

    def _built(self) -> Producer:
        if self._producer is None:
            raise ClusterError("the producer is used before it was opened: this is a bug")
        return self._producer

    def _statistics(self, statistics: str) -> None:
        self._events.producer_statistics(statistics)
        if connection_trouble(statistics):
            self._connection_broke()

    def _connection_broke(self) -> None:
        """A request that went out over it, and was sent again since, may still arrive."""
        self._doubt = self._doubt or "a connection broke, or no answer came"

    def _properties(self) -> dict[str, Any]:
        settings = self._settings
        return {
            **producer_properties(settings, self._events),
            "transactional.id": settings.transactional_id,
            "transaction.timeout.ms": int(settings.publish.transaction_timeout_s * 1000),
            "statistics.interval.ms": 1_000,
            "stats_cb": self._statistics,
            "logger": ConnectionLog(self._connection_broke),
            "log.connection.close": True,  # the line that it listens for
            # A client that starts over when all brokers are away forgets them, and what was on its
            # way to them: two of five runs of row B1 (hard) failed, one with nine comments that
            # were committed and have no outcome. Or it waits for ever for the group's coordinator
            # (librdkafka#5511). The price: told by a broker that is being stopped that there are no
            # brokers, a client never connects again. It is left behind then, or made anew.
            "metadata.recovery.strategy": "none",
        }


def producer_properties(settings: Settings, events: ClientEvents) -> dict[str, Any]:
    """Return what every producer of ours is made with."""
    return {
        "compression.type": "lz4",
        "linger.ms": 5,
        # A transaction that begins while the one before is being completed is asked to come
        # again: the client's own 100 ms would be a tenth of a second on top of each such window.
        "retry.backoff.ms": 20,
        "reconnect.backoff.max.ms": RECONNECT_MS,
        # Up to four messages a comment, and a window behind the one that is being committed.
        "queue.buffering.max.messages": max(100_000, 8 * settings.intake.max_messages),
        **settings.kafka.properties(),
        "bootstrap.servers": settings.kafka.bootstrap_servers,
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",  # as Java's, so that tombstones meet their comments
        "message.max.bytes": LARGEST,
        "delivery.report.only.error": True,  # a call into Python for each success costs 1 us
        "error_cb": events.error,
        "logger": CLIENT_LOG,
    }


def produced(
    producer: Producer, message: Outgoing, report: Callable[[KafkaError | None, Any], None]
) -> KafkaError | None:
    """Put a message into the client's queue, or say why it would not go in."""
    try:
        producer.produce(
            message.topic,
            message.value,
            message.key,
            headers=list(message.headers),
            on_delivery=report,
        )
    except BufferError:
        return KafkaError(KafkaError._QUEUE_FULL)  # noqa: SLF001 - a public constant
    except KafkaException as failed:
        error: KafkaError = failed.args[0]
        return error
    return None


def _no_membership(settings: Settings) -> Any:
    """Return the group's metadata as those have it who have not joined."""
    properties = {
        **settings.kafka.properties(),
        "bootstrap.servers": settings.kafka.bootstrap_servers,
        "group.id": settings.kafka.group_id,
        "logger": CLIENT_LOG,
    }
    consumer = Consumer(properties)
    try:
        return consumer.consumer_group_metadata()
    finally:
        consumer.close()


def _refused(call: str, error: KafkaError) -> ClusterError:
    hint = {
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "allow Write and Describe on the "
        "transactional ids that begin with the group's name",
        KafkaError.CLUSTER_AUTHORIZATION_FAILED: "allow IdempotentWrite on the cluster",
        KafkaError.GROUP_AUTHORIZATION_FAILED: "allow Read on the group",
        KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow Write and Describe on the output topics",
        KafkaError.UNKNOWN_TOPIC_OR_PART: "`tidegate topics check` says which topic is missing",
    }.get(error.code())
    return ClusterError(f"{call}: {error.name()}: {error.str()}", hint)
