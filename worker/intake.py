"""The Consumer: windows of raw messages, each with its claim.

Only the thread that draws `windows` touches the Consumer; any other caller would wait for a
`consume()` that is under way, and a revocation that waits for such a caller would never end.
Callbacks run inside `consume()` and `poll()`, in this thread. They never raise, since an
exception that leaves `consume()` takes the messages along that it held.
"""

from collections.abc import Callable, Iterator
from time import monotonic, time
from typing import Any, Final, Protocol, cast

import structlog
from confluent_kafka import (
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from schemas.errors import ClusterError, SettingsError, TidegateError, TopicError
from worker.bounded import Bounded
from worker.client_events import CLIENT_LOG
from worker.kafka_errors import AWAY
from worker.left_open import look
from worker.membership import is_joined, member_of
from worker.positions import Positions
from worker.settings import RECONNECT_MS, GroupProtocol
from worker.shared import Shared, Stop
from worker.window import Fetched, Headers, Partition, Record

log = structlog.get_logger()

IDLE_S: Final = 0.5  # how long one call waits for a first message
BLOCK_S: Final = 1.0  # how long the queue may be full before the partitions are paused
LEAST_AHEAD: Final = 10_000  # messages; more are fetched when fewer wait, a fetch each partition
FETCH_BYTES: Final = 131_072  # of a partition, compressed; a batch that is larger comes alone
LEAVE_S: Final = 8.0  # for the client to leave the group
LOOK_S: Final = 5.0  # how often a worker without partitions looks whether the topic is there
# For the group's offsets, which wait for transactions that are open, and a log's beginning and end.
CALL_S: Final = 5.0
CALLS: Final = 8
HELD_S: Final = 1.0  # offsets that are held back for so long, when nothing is ours
LOOK_AFTER: Final = 1  # from the second on: a coordinator that loads has had its time

NOT_IN: Final = "the group has to let this worker in again"

# How a broker below 4.0, or one told to, says that it knows no KIP-848.
UNSUPPORTED: Final = frozenset(
    {KafkaError._UNSUPPORTED_FEATURE, KafkaError.UNSUPPORTED_VERSION}  # noqa: SLF001 - public constants
)

# What a person can do about an error that ends the worker.
HINTS: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow Read and Describe on the topic of comments",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "allow Read on the group",
    KafkaError.UNRELEASED_INSTANCE_ID: "each worker needs its own group.instance.id, which by this "
    "protocol stays its predecessor's for a session: static members want "
    "TIDEGATE_KAFKA__GROUP_PROTOCOL=classic",
}

# What the client mends by itself, and only tells us.
PASSING: Final = AWAY | {
    KafkaError._MAX_POLL_EXCEEDED,  # noqa: SLF001 - a public constant
    KafkaError.REBALANCE_IN_PROGRESS,  # a JoinGroup among others: the client joins again
}


class Intake:
    """Fetches windows, as long as nobody says stop."""

    def __init__(self, shared: Shared) -> None:
        self._settings = shared.settings
        self._claims = shared.claims
        self._pulse = shared.pulse
        self._metrics = shared.metrics
        self._readiness = shared.readiness
        self._events = shared.events
        self._offsets = shared.offsets
        self._committed = shared.committed
        self._left_open = shared.left_open
        self._failure: Exception | None = None  # written by callbacks, raised by the loop
        self._full_since: float | None = None  # monotonic; None while there is room
        self._paused = False
        self._leaving = False  # no window will be drawn any more
        self._oldest_ms: int | None = None  # timestamp of the oldest comment of the last window
        # Fetched and not yet claimed. Callbacks take out what a revocation takes, in place:
        # a message must not be claimed under a later assignment than its own.
        self._unclaimed: list[Message] = []
        self._positions = Positions()
        self._member: bytes | None = None  # under which our partitions came
        self._topic_is_there = True  # as far as we know
        self._looked_at = 0.0  # monotonic
        self._protocol = _first_choice(shared.settings.kafka.group_protocol)
        self._consumer = self._subscribed()

    def windows(self, stop: Stop) -> Iterator[Fetched]:
        """Yield windows of at least one record until `stop` is set.

        Raises:
            ClusterError: the group or the cluster refused us for good, or comments that
                were not judged have expired.
        """
        while not stop.is_set():
            self._pulse.beat()
            if self._left_open.to_rejoin.is_set():
                self._join_anew()
            self._resume()
            self._fetch()
            self._after_call()
            if self._unclaimed:
                yield self._claimed()
            else:
                self._oldest_ms = None
                self._tell_age()
                self._look_for_topic()

    def stay_in_group(self) -> None:
        """Keep the membership while windows cannot be handed on; called again and again.

        `consume(0)` would keep it too, but serves no rebalance.
        """
        now = monotonic()
        self._full_since = self._full_since or now
        self._tell_age()
        if now - self._full_since < BLOCK_S:
            return
        if not self._paused:
            self._paused = True
            self._consumer.pause(self._consumer.assignment())
            log.debug("partitions paused")
        message = self._consumer.poll(0)
        if message is not None:
            self._keep([message])
        self._after_call()

    def drain(self) -> None:
        """Stay in the group while what was fetched is published; called again and again.

        A rebalance waits for all members, and has a generation of its own, under which alone
        offsets are taken: a worker that does not look would have to give its windows up. What ends
        our membership is no more than a warning now: it shows in what can not be committed.
        """
        self._leaving = True
        self._full_since = monotonic() - BLOCK_S  # nothing more is fetched
        try:
            self.stay_in_group()
        except (TidegateError, KafkaException) as error:
            self._failure = None
            log.warning("in the group no more, before all was published", why=str(error))

    def close(self) -> None:
        """Leave the group. To be called when the drawing thread has ended and all is published.

        The client's own close may wait for the cluster, and the others for us. Nothing is left to
        lose, so the process ends without it, and its connection with the process.
        """
        self._leaving = True
        self._commit_offsets(at_once=True)
        try:
            Bounded("leave")(self._consumer.close, LEAVE_S)
        except TimeoutError:
            log.warning("the group was not left in good order", waited_s=LEAVE_S)

    # -- fetching

    def _fetch(self) -> None:
        """Wait for a first message, then a little for its companions.

        `consume(n, t)` waits all of t to fill n, so that a long t would be a floor under
        the latency of a quiet topic.
        """
        settings = self._settings.intake
        if not self._unclaimed:
            self._keep(self._consumer.consume(1, IDLE_S))
        room = settings.max_messages - len(self._unclaimed)
        if self._unclaimed and room > 0:
            self._keep(self._consumer.consume(room, settings.max_wait_s))

    def _keep(self, messages: list[Message]) -> None:
        """Split the events from the messages; an event that is fatal ends the worker."""
        for message in messages:
            error = message.error()
            if error is not None:
                self._heed(error, message)
            elif self._positions.passes(
                (message.topic(), message.partition()), cast("int", message.offset())
            ):
                self._unclaimed.append(message)
            else:
                self._metrics.handed_over_again.inc()

    def _heed(self, error: KafkaError, message: Message) -> None:
        code = error.code()
        auto = self._settings.kafka.group_protocol is GroupProtocol.AUTO
        no_kip_848 = _why_not_kip_848(error)
        if auto and no_kip_848:
            self._fall_back(no_kip_848)
        elif code == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - a public constant
            self._failure = ClusterError(
                f"topic {message.topic()}, partition {message.partition()}: the group's offset "
                f"is gone from the log ({error.str()}): comments expired unjudged",
                "set the group's offset by hand (kafka-consumer-groups --reset-offsets), "
                "then start again",
            )
        elif code in PASSING and not error.fatal():
            log.warning("consumer event", code=error.name())
        else:
            protocol = "set TIDEGATE_KAFKA__GROUP_PROTOCOL to auto" if no_kip_848 else None
            self._failure = ClusterError(
                f"consumer: {error.name()}: {error.str()}", protocol or _hint(error)
            )

    def _fall_back(self, why: str) -> None:
        """Take the classic protocol where KIP-848 cannot be had."""
        if self._protocol is GroupProtocol.CLASSIC:
            return
        log.info("group protocol", chosen="classic", why=why)
        self._protocol = GroupProtocol.CLASSIC
        self._leave()
        self._consumer = self._subscribed()

    def _leave(self) -> None:
        """Close the consumer; an assignment that comes meanwhile is none."""
        was_leaving, self._leaving = self._leaving, True
        self._consumer.close()
        self._leaving = was_leaving
        self._readiness.trouble("group", NOT_IN)
        self._claims.lose(self._claims.owned())
        self._positions.clear()
        self._member = None

    def _join_anew(self) -> None:
        """Begin at the group's offsets, which may be before what we know of them."""
        self._left_open.to_rejoin.clear()
        self._leave()
        self._unclaimed.clear()
        self._consumer = self._subscribed()

    def _claimed(self) -> Fetched:
        """Make a window of what was fetched, under the assignments of this moment.

        What is over its bound in bytes waits for the next one: long comments cost a device
        many times what short ones do, and a window must not take minutes.
        """
        records: list[Record] = []
        room = self._settings.intake.max_bytes
        for message in self._unclaimed:
            room -= len(message)
            if records and room < 0:
                break
            records.append(_record(message))
        del self._unclaimed[: len(records)]
        self._oldest_ms = min(record.timestamp for record in records)
        self._tell_age()
        return Fetched(self._claims.claim({record.partition for record in records}), records)

    def _tell_age(self) -> None:
        """Say how old the oldest comment is that this worker has seen and not handed on."""
        waits = self._oldest_ms is not None and self._oldest_ms > 0
        age_s = time() - (self._oldest_ms or 0) / 1000 if waits else 0
        self._metrics.oldest_age.set(max(0.0, age_s))

    def _after_call(self) -> None:
        """Do what is owed after every call that may have served a callback."""
        if self._failure:
            raise self._failure
        owned = self._claims.owned()
        self._metrics.partitions.set(len(owned))
        if owned:
            self._refresh(self._consumer)
        else:
            self._member = None
            # By KIP-848 a worker too many is given nothing, not even a word: it is in.
            if is_joined(self._consumer.consumer_group_metadata()):
                self._readiness.clear("group")
        self._commit_offsets(at_once=False)

    def _resume(self) -> None:
        self._full_since = None
        if self._paused:
            self._paused = False
            self._consumer.resume(self._consumer.assignment())

    def _commit_offsets(self, *, at_once: bool) -> None:
        """At least once: commit what the publisher says is published."""
        if not (due := self._offsets.take()):
            return
        try:
            if at_once:
                self._consumer.commit(offsets=due, asynchronous=False)
            else:
                self._consumer.commit(offsets=due, asynchronous=True)
        except KafkaException as error:  # the successor judges these once more, as it may
            log.warning("offsets not committed", code=error.args[0].name())

    def _look_for_topic(self) -> None:
        """See whether a topic is there when no partition of it is ours.

        A group whose topic was deleted is given no partitions, as one that is too many, and hears
        no more of it. Looked at twice: a broker that has just started may not know it yet.

        Raises:
            TopicError: it is not.
        """
        now = monotonic()
        if self._claims.owned() or now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        topic = self._settings.topics.comments
        try:
            error = self._consumer.list_topics(topic, LOOK_S).topics[topic].error
        except KafkaException:  # no broker answers: that passes
            return
        was_there, self._topic_is_there = self._topic_is_there, error is None
        if error is not None and not was_there:
            raise TopicError(
                f"topic {topic}: {error.str()}",
                "`tidegate topics check` says what is missing",
            )

    # -- the group

    def _subscribed(self) -> Consumer:
        try:
            consumer = Consumer(self._properties(self._protocol))
        except KafkaException as error:  # properties that do not go together
            raise SettingsError(
                f"kafka consumer, group protocol {self._protocol}: {error.args[0].str()}",
                "see TIDEGATE_KAFKA__CLIENT__… and TIDEGATE_KAFKA__GROUP_PROTOCOL",
            ) from error
        consumer.subscribe(
            [self._settings.topics.comments],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )
        return consumer

    def _properties(self, protocol: GroupProtocol) -> dict[str, Any]:
        settings = self._settings
        properties: dict[str, Any] = {
            "fetch.queue.backoff.ms": 50,
            # The bound in bytes, below, is on the text alone. Whatever its length, a comment that
            # waits costs the client 800 bytes more: 100,000 of them, its default, are 80 MB.
            "queued.min.messages": max(LEAST_AHEAD, 4 * settings.intake.max_messages),
            # An answer is taken whole, whatever the bounds: a megabyte of short comments from each
            # partition, the client's default, doubled the process behind a backlog.
            "max.partition.fetch.bytes": FETCH_BYTES,
            # A connection answers in order: what else is asked waits behind a fetch that waits.
            "fetch.wait.max.ms": 100,
            "reconnect.backoff.max.ms": RECONNECT_MS,
            **settings.kafka.properties(),
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": settings.kafka.group_id,
            "group.protocol": str(protocol),
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # a first start is told to begin in `_on_assign`
            "max.poll.interval.ms": int(settings.intake.max_poll_interval_s * 1000),
            "queued.max.messages.kbytes": settings.intake.prefetch_kib,
            "statistics.interval.ms": 5_000,
            "stats_cb": self._events.consumer_statistics,
            "error_cb": self._events.error,
            "logger": CLIENT_LOG,
        }
        if protocol is GroupProtocol.CLASSIC:
            properties["partition.assignment.strategy"] = "cooperative-sticky"
        return properties

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        def assign() -> None:
            if self._leaving:
                # Nothing will be fetched, and the group's offsets cannot be had from a client that
                # is being closed: to ask for them would keep it from leaving for 40 s.
                ends = [TopicPartition(p.topic, p.partition, OFFSET_END) for p in partitions]
                consumer.incremental_assign(ends)
                consumer.pause(ends)
                return
            begin = self._begin(consumer, partitions)
            begin = [self._not_behind(consumer, place) for place in begin]
            self._positions.begin(begin)
            consumer.incremental_assign(begin)
            if self._paused:
                consumer.pause(partitions)
            else:  # one that was lost while it was paused comes back so, and would stay so
                consumer.resume(partitions)
            self._claims.assign(_partitions(partitions))
            self._readiness.clear("group")
            log.info("partitions assigned", partitions=_numbers(partitions))

        self._in_callback(assign)

    def _begin(self, consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Start a partition that the group has no offset for at its first comment.

        One that has an offset is left to it: if that offset has expired, the client says so,
        and the worker stops instead of passing over comments in silence.

        We look ourselves where a log begins. Were it left to the client (OFFSET_BEGINNING), and the
        partition lost and given back before it is told, it would go back to the first comment half
        a second after the answer (librdkafka 2.16.0, "outdated offset response").

        Raises:
            ClusterError: where to begin cannot be learnt in time.
        """
        if not partitions:  # of a rebalance that gives us nothing more
            return []
        return [
            TopicPartition(p.topic, p.partition, self._log(consumer, p)[0]) if p.offset < 0 else p
            for p in self._group_offsets(consumer, partitions)
        ]

    def _group_offsets(
        self, consumer: Consumer, partitions: list[TopicPartition]
    ) -> list[TopicPartition]:
        start = monotonic()
        for call in range(CALLS):
            self._pulse.beat()
            try:
                committed = consumer.committed(partitions, timeout=CALL_S)
            except KafkaException as error:
                why: KafkaError = error.args[0]
                if call >= LOOK_AFTER:
                    self._look_for_left_open(_partitions(partitions))
                continue
            errors = [p.error for p in committed if p.error]
            if not errors:
                return committed
            why = errors[0]
        raise ClusterError(
            f"the group's offsets cannot be learnt: {why.name()} for {monotonic() - start:.0f} s",
            "an open transaction of a worker that was killed may hold them back; start again",
        )

    def _log(self, consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
        """Return where a partition's log begins and ends."""
        for _ in range(CALLS):
            self._pulse.beat()
            try:
                return consumer.get_watermark_offsets(place, timeout=CALL_S, cached=False)
            except KafkaException as error:
                why: KafkaError = error.args[0]
        raise ClusterError(
            f"topic {place.topic}, partition {place.partition}: "
            f"where its log begins and ends cannot be learnt: {why.name()}",
            "its leader may be away; start again when it is back",
        )

    def _look_for_left_open(self, partitions: list[Partition]) -> None:
        """Have publish end what may hold the offsets back, if that cannot undo what is ours.

        More often it is a transaction of a worker that was killed, and ends by itself.
        """
        beat = self._pulse.beat
        beat()
        if not self._claims.owned() and look(self._settings, partitions, HELD_S, beat):
            self._left_open.to_end.set()

    def _not_behind(self, consumer: Consumer, begin: TopicPartition) -> TopicPartition:
        """Return where a partition is begun: never below what we have committed ourselves.

        The offsets of a group that has members are nobody's to set back, so that the broker has
        lost some. A topic that was deleted and made anew begins below them, too, and ends there.
        """
        ours = self._committed.of(begin)
        if not ours or begin.offset >= ours:
            return begin
        _, end = self._log(consumer, begin)
        if end < ours:
            return begin
        self._metrics.offsets_lost.inc()
        log.error(
            "offsets lost: the group's is from before our own commits, which are not judged again",
            partition=begin.partition,
            group=max(begin.offset, 0),
            ours=ours,
        )
        return TopicPartition(begin.topic, begin.partition, ours)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        def revoke() -> None:
            self._give_up(partitions)
            # In the classic protocol a rebalance has a generation of its own, and the windows
            # that are waited for could not be committed under the old one.
            self._refresh(consumer)
            self._pulse.beat()
            deadline_s = self._settings.revocation_s
            finished = self._claims.revoke(_partitions(partitions), deadline_s)
            self._commit_offsets(at_once=True)
            consumer.incremental_unassign(partitions)
            log.info("partitions revoked", partitions=_numbers(partitions), finished=finished)

        self._in_callback(revoke)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        def lose() -> None:
            self._give_up(partitions)
            self._member = None
            self._claims.lose(_partitions(partitions))
            self._offsets.drop(_partitions(partitions))
            self._readiness.trouble("group", NOT_IN)
            consumer.incremental_unassign(partitions)
            log.warning("partitions lost", partitions=_numbers(partitions))

        self._in_callback(lose)

    def _refresh(self, consumer: Consumer) -> None:
        """Keep the group's metadata, if they are of the membership that our partitions came under.

        May wait for a window at the gate.

        While a membership ends there may be none, before a callback says so. A static member of the
        classic protocol may even be taken anew without a word, when others have had its partitions.

        Raises:
            ClusterError: so it is.
        """
        metadata = consumer.consumer_group_metadata()
        member = member_of(metadata)
        if member is None:
            return
        if self._member not in (None, member):
            raise ClusterError(
                "the group has taken this worker anew, and its partitions may have been others'",
                "start again: it was away for longer than its session",
            )
        self._member = member
        self._claims.refresh(metadata)

    def _give_up(self, partitions: list[TopicPartition]) -> None:
        going = {(p.topic, p.partition) for p in partitions}
        self._positions.forget(going)
        self._unclaimed[:] = [m for m in self._unclaimed if (m.topic(), m.partition()) not in going]

    def _in_callback(self, act: Callable[[], None]) -> None:
        """Run a callback's work; what it raises waits for the loop."""
        self._pulse.beat()
        try:
            act()
        except Exception as error:  # noqa: BLE001 - raised by `_after_call`; here it would lose messages
            self._failure = error
        self._pulse.beat()


def _why_not_kip_848(error: KafkaError) -> str | None:
    """Say why the group cannot be joined by KIP-848; where the client calls it fatal, by the words.

    A group whose members speak the classic protocol is taken over by the broker as a whole, but
    not if their assignor left data of its own in the assignments, as cooperative-sticky does.
    """
    words = error.str()
    wrapped = error.code() == KafkaError._FATAL and "ConsumerGroupHeartbeat" in words  # noqa: SLF001 - a public constant
    if error.code() in UNSUPPORTED or (wrapped and "not supported" in words):
        return "the broker does not speak KIP-848"
    if wrapped and "group id does not exist" in words:
        return "other members of the group speak the classic protocol"
    return None


def _hint(error: KafkaError) -> str | None:
    """Say what helps; where the client calls an error fatal, by its words."""
    words = error.str()
    return HINTS.get(error.code()) or next(
        (hint for code, hint in HINTS.items() if KafkaError(code).str() in words), None
    )


class HasHeaders(Protocol):
    """A record as the client gives it."""

    def headers(self) -> Any:
        """Return name and value of each, None if there is none."""
        ...


def headers_of(message: HasHeaders) -> tuple[Headers, bool]:
    """Return a record's headers; without any, and False, where a name in them is no UTF-8."""
    try:
        return cast("Headers", message.headers() or ()), True
    except (SystemError, UnicodeDecodeError):  # how the client fails on such a name
        return (), False


def _record(message: Message) -> Record:
    """Take what a message holds; only the client's own events lack any of it."""
    headers, readable = headers_of(message)
    return Record(
        Partition(cast("str", message.topic()), cast("int", message.partition())),
        cast("int", message.offset()),
        message.leader_epoch(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers,
        readable,
    )


def _first_choice(protocol: GroupProtocol) -> GroupProtocol:
    return GroupProtocol.CONSUMER if protocol is GroupProtocol.AUTO else protocol


def _partitions(partitions: list[TopicPartition]) -> list[Partition]:
    return [Partition(p.topic, p.partition) for p in partitions]


def _numbers(partitions: list[TopicPartition]) -> list[int]:
    return sorted(p.partition for p in partitions)
