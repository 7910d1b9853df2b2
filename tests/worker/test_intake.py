"""Intake's side of the group: callbacks that fail, properties, and protocols. No broker answers."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import (
    OFFSET_END,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from rig.metadata import metadata_of
from schemas.errors import ClusterError, SettingsError
from worker.claims import Claims
from worker.intake import CALLS, HINTS, NOT_IN, Intake, _why_not_kip_848
from worker.settings import (
    GroupProtocol,
    IntakeSettings,
    KafkaSettings,
    PublishSettings,
    Settings,
)
from worker.shared import Shared, Stop
from worker.window import Claim, Partition

NOBODY = "127.0.0.1:1"


def shared(**kafka: Any) -> Shared:
    """Return what rooms share, on a cluster that nobody answers for."""
    settings = Settings(kafka=KafkaSettings(bootstrap_servers=NOBODY, **kafka))
    return Shared(settings, Stop(1))


@pytest.fixture
def intake() -> Iterator[Intake]:
    """Give an intake that waits for its group in vain."""
    with closing(Intake(shared())) as found:
        yield found


class _NoOffsets:
    """A consumer that cannot learn the group's offsets."""

    def __init__(self) -> None:
        self.calls = 0

    def consumer_group_metadata(self) -> bytes:
        return metadata_of(1, "us")

    def committed(self, *_: Any, **__: Any) -> list[TopicPartition]:
        self.calls += 1
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - a public constant


def test_a_callback_that_fails_ends_the_worker_after_the_call_and_not_in_it(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that leaves `consume()` would take the messages along that it held."""
    consumer = _NoOffsets()
    monkeypatch.setattr("worker.intake.look", lambda *_, **__: False)

    intake._on_assign(cast("Consumer", consumer), [TopicPartition("comments", 0)])  # noqa: SLF001

    with pytest.raises(ClusterError, match="offsets cannot be learnt"):
        intake._after_call()  # noqa: SLF001
    assert consumer.calls == CALLS
    assert not intake._left_open.to_end.is_set()  # noqa: SLF001


@pytest.mark.parametrize("owns_another", [False, True])
def test_what_holds_the_groups_offsets_back_is_ended_if_nothing_of_ours_can_be_undone_by_it(
    intake: Intake, monkeypatch: pytest.MonkeyPatch, *, owns_another: bool
) -> None:
    """A window of a partition that is ours may be what a broker left open."""
    monkeypatch.setattr("worker.intake.look", lambda *_, **__: True)
    if owns_another:
        intake._claims.assign([Partition("comments", 1)])  # noqa: SLF001

    intake._on_assign(cast("Consumer", _NoOffsets()), [TopicPartition("comments", 0)])  # noqa: SLF001

    assert intake._left_open.to_end.is_set() != owns_another  # noqa: SLF001


def test_a_group_that_is_joined_anew_keeps_nothing_of_before(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was fetched came by offsets that may be wrong; the next membership is another."""
    before = intake._consumer  # noqa: SLF001
    place = TopicPartition("comments", 0)
    intake._on_assign(cast("Consumer", _OffsetsOfOld(10, 30)), [place])  # noqa: SLF001
    intake._refresh(cast("Consumer", _Member(metadata_of(4, "us"))))  # noqa: SLF001
    intake._unclaimed.append(cast("Any", None))  # noqa: SLF001
    intake._left_open.to_rejoin.set()  # noqa: SLF001
    stop = Stop(1)

    def fetch() -> None:
        assert intake._unclaimed == []  # noqa: SLF001
        assert intake._consumer is not before  # noqa: SLF001
        assert intake._claims.owned() == []  # noqa: SLF001
        assert not intake._positions.passes(("comments", 0), 10)  # noqa: SLF001
        assert NOT_IN in intake._readiness.troubles()  # noqa: SLF001 - nor is a broker there
        intake._refresh(cast("Consumer", _Member(metadata_of(1, "us anew"))))  # noqa: SLF001
        stop.set()

    monkeypatch.setattr(intake, "_fetch", fetch)
    assert list(intake.windows(stop)) == []
    assert not intake._left_open.to_rejoin.is_set()  # noqa: SLF001


class _Member:
    """A consumer whose membership is as told, generation by generation."""

    def __init__(self, *metadata: bytes) -> None:
        self._metadata = iter(metadata)

    def consumer_group_metadata(self) -> bytes:
        return next(self._metadata)


def kept(intake: Intake) -> Any:
    """Return the metadata that publish would send offsets with."""
    with intake._claims.gate(Claim({})) as (_, metadata):  # noqa: SLF001
        return metadata


def test_metadata_without_a_membership_are_never_kept(intake: Intake) -> None:
    """Brokers take offsets that come with them from anybody."""
    joined, none = metadata_of(4, "us"), metadata_of(-1, "us")
    consumer = cast("Consumer", _Member(joined, none, metadata_of(4, ""), metadata_of(5, "us")))
    found = []
    for _ in range(4):
        intake._refresh(consumer)  # noqa: SLF001
        found.append(kept(intake))

    assert found == [joined, joined, joined, metadata_of(5, "us")]


def test_metadata_of_a_group_that_has_not_let_us_in_are_never_kept(intake: Intake) -> None:
    """The client's own, of a consumer that knows no broker."""
    intake._claims.assign([Partition("comments", 0)])  # noqa: SLF001

    intake._after_call()  # noqa: SLF001

    assert kept(intake) is None


def test_a_worker_that_was_taken_anew_without_a_word_ends(intake: Intake) -> None:
    """As a static member of the classic protocol is: others may have had its partitions."""
    consumer = cast("Consumer", _Member(metadata_of(4, "us"), metadata_of(7, "us again")))
    intake._refresh(consumer)  # noqa: SLF001

    with pytest.raises(ClusterError, match="taken this worker anew"):
        intake._refresh(consumer)  # noqa: SLF001

    assert kept(intake) == metadata_of(4, "us")


class _Fetched:
    """A message of partition 0."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def error(self) -> None:
        """It is none."""

    def topic(self) -> str:
        return "comments"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset


def test_what_the_client_hands_over_again_is_dropped_and_counted(intake: Intake) -> None:
    """As it may in a rebalance, and of partitions that were taken from us."""
    place = TopicPartition("comments", 0)
    intake._on_assign(cast("Consumer", _OffsetsOfOld(10, 30)), [place])  # noqa: SLF001

    intake._keep(cast("Any", [_Fetched(offset) for offset in (9, 10, 12, 10, 12, 13)]))  # noqa: SLF001
    assert [m.offset() for m in intake._unclaimed] == [10, 12, 13]  # noqa: SLF001

    intake._give_up([place])  # noqa: SLF001
    intake._keep(cast("Any", [_Fetched(14)]))  # noqa: SLF001
    assert not intake._unclaimed  # noqa: SLF001
    assert intake._metrics.handed_over_again._value.get() == 4  # noqa: SLF001


class _NoLeader:
    """A consumer whose partition is new to the group, and has no leader for so many calls."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.begun: list[int] = []

    def committed(self, partitions: list[TopicPartition], **_: Any) -> list[TopicPartition]:
        return partitions

    def get_watermark_offsets(self, *_: Any, **__: Any) -> tuple[int, int]:
        self.calls -= 1
        if self.calls >= 0:
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        return 7, 9

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self.begun += [p.offset for p in partitions]

    def resume(self, partitions: list[TopicPartition]) -> None:
        """It was not paused."""


@pytest.mark.parametrize("calls", [1, CALLS])
def test_where_a_log_begins_is_asked_until_it_is_known(intake: Intake, calls: int) -> None:
    """For as long as the group's offsets are; then the partition is named."""
    consumer = _NoLeader(calls)

    intake._on_assign(cast("Consumer", consumer), [TopicPartition("comments", 3)])  # noqa: SLF001

    if calls < CALLS:
        intake._after_call()  # noqa: SLF001
        assert consumer.begun == [7]
    else:
        with pytest.raises(ClusterError, match="comments, partition 3: where its log begins"):
            intake._after_call()  # noqa: SLF001


class _OffsetsOfOld:
    """A consumer whose group has lost offsets; keeps what it was assigned."""

    def __init__(self, committed: int, end: int) -> None:
        self._committed = committed
        self._end = end
        self.begun: list[int] = []

    def committed(self, partitions: list[TopicPartition], **_: Any) -> list[TopicPartition]:
        return [TopicPartition(p.topic, p.partition, self._committed) for p in partitions]

    def get_watermark_offsets(self, *_: Any, **__: Any) -> tuple[int, int]:
        return 7, self._end

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self.begun += [p.offset for p in partitions]

    def resume(self, partitions: list[TopicPartition]) -> None:
        """It was not paused."""


@pytest.mark.parametrize(
    ("group", "end", "begun"),
    [
        (25, 30, 25),  # as it should be
        (28, 30, 28),  # another worker went on
        (10, 30, 25),  # the broker lost offsets
        (OFFSET_INVALID, 30, 25),  # or all of them
        (10, 20, 10),  # another topic by the same name
        (OFFSET_INVALID, 20, 7),  # begun where its log begins
    ],
)
def test_what_was_committed_here_is_not_judged_again_whatever_the_broker_remembers(
    intake: Intake, group: int, end: int, begun: int
) -> None:
    """Kafka 4.3.1 may come up with offsets from the middle of their log."""
    intake._committed.note([TopicPartition("comments", 0, 25)])  # noqa: SLF001
    consumer = _OffsetsOfOld(group, end)

    intake._on_assign(cast("Consumer", consumer), [TopicPartition("comments", 0)])  # noqa: SLF001

    intake._after_call()  # noqa: SLF001
    assert consumer.begun == [begun]
    lost = intake._metrics.offsets_lost._value.get()  # noqa: SLF001
    assert lost == (begun == 25 != group)


@pytest.mark.parametrize("protocol", GroupProtocol)
def test_what_the_promises_rest_on_is_asked_of_the_client(
    intake: Intake, protocol: GroupProtocol
) -> None:
    """Nothing is committed by itself, a lost offset is an error, prefetching is bounded."""
    properties = intake._properties(protocol)  # noqa: SLF001

    assert properties["enable.auto.commit"] is False
    assert properties["enable.auto.offset.store"] is False
    assert properties["auto.offset.reset"] == "error"
    assert properties["isolation.level"] == "read_committed"
    assert properties["queued.max.messages.kbytes"] == 32_768
    assert properties["queued.min.messages"] == 10_000, "each costs memory, however short it is"
    assert properties["max.partition.fetch.bytes"] == 131_072, "an answer is taken whole"
    assert properties["fetch.queue.backoff.ms"] == 50
    assert properties["reconnect.backoff.max.ms"] == 1_000, (
        "a broker that is back is wanted at once"
    )
    assert "group.instance.id" not in properties, "members are static only if somebody asks"
    assignor = properties.get("partition.assignment.strategy")
    assert assignor == ("cooperative-sticky" if protocol is GroupProtocol.CLASSIC else None)


def test_a_property_of_the_other_protocol_is_named_at_the_start() -> None:
    """A session's length is the broker's to say in KIP-848."""
    ours = shared(group_protocol="consumer", client={"session_timeout_ms": "6000"})

    with pytest.raises(SettingsError, match=r"session\.timeout\.ms") as caught:
        Intake(ours)

    assert "TIDEGATE_KAFKA__GROUP_PROTOCOL" in (caught.value.hint or "")


FATAL = "Fatal error: Broker: %s: ConsumerGroupHeartbeat fatal error: Broker: %s"


@pytest.mark.parametrize(
    ("code", "words", "why"),
    [
        (KafkaError.UNSUPPORTED_VERSION, "", "the broker does not speak KIP-848"),
        (
            KafkaError._FATAL,  # noqa: SLF001 - a public constant
            FATAL % ("not supported", "not supported"),
            "the broker does not speak KIP-848",
        ),
        (
            KafkaError._FATAL,  # noqa: SLF001 - a public constant
            FATAL % ("The group id does not exist", "The group id does not exist"),
            "other members of the group speak the classic protocol",
        ),
        (KafkaError._FATAL, FATAL % ("fenced", "fenced"), None),  # noqa: SLF001 - a public constant
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "not supported", None),
    ],
)
def test_only_a_group_that_has_no_kip_848_is_left_for_the_classic_protocol(
    code: int, words: str, why: str | None
) -> None:
    """Any other error is not mended by another protocol."""
    assert why == _why_not_kip_848(KafkaError(code, words))


class _Event:
    """What `consume()` gives in a message's place."""

    def __init__(self, code: int, reason: str, *, fatal: bool = False) -> None:
        self._error = KafkaError(code, reason, fatal)

    def error(self) -> KafkaError:
        return self._error

    def topic(self) -> None:
        return None


@pytest.mark.parametrize(
    ("code", "passes"),
    [
        (KafkaError.REBALANCE_IN_PROGRESS, True),
        (KafkaError.COORDINATOR_LOAD_IN_PROGRESS, True),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, False),
        (KafkaError.INCONSISTENT_GROUP_PROTOCOL, False),
    ],
)
def test_a_join_that_the_client_tries_again_ends_no_worker(
    intake: Intake, code: int, *, passes: bool
) -> None:
    """In a rolling deploy members join while others do; a right that is missing stays so."""
    intake._keep([cast("Any", _Event(code, "JoinGroup failed"))])  # noqa: SLF001

    if passes:
        intake._after_call()  # noqa: SLF001
    else:
        with pytest.raises(ClusterError, match="JoinGroup failed"):
            intake._after_call()  # noqa: SLF001


def test_what_would_pass_by_itself_ends_the_worker_once_the_client_calls_it_fatal(
    intake: Intake,
) -> None:
    """A client that has failed for good consumes nothing, and says so once."""
    event = _Event(KafkaError._MAX_POLL_EXCEEDED, "gone", fatal=True)  # noqa: SLF001 - a public constant
    intake._keep([cast("Any", event)])  # noqa: SLF001

    with pytest.raises(ClusterError, match="gone"):
        intake._after_call()  # noqa: SLF001


@pytest.mark.parametrize("code", HINTS)
def test_what_a_person_can_mend_is_said_of_a_fatal_error_too(intake: Intake, code: int) -> None:
    """Its code is that of all fatal errors: only the words say which one it is."""
    words = f"Fatal error: {KafkaError(code).str()}: ConsumerGroupHeartbeat fatal error"
    intake._keep([cast("Any", _Event(KafkaError._FATAL, words, fatal=True))])  # noqa: SLF001

    with pytest.raises(ClusterError) as caught:
        intake._after_call()  # noqa: SLF001
    assert caught.value.hint == HINTS[code]


def test_an_error_that_leaves_consume_ends_the_worker(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has taken messages with it: the next call would pass them over."""

    def consume(*_: Any) -> None:
        raise KafkaException(KafkaError(KafkaError._FAIL))  # noqa: SLF001 - a public constant

    with monkeypatch.context() as patch:
        patch.setattr(intake, "_consumer", SimpleNamespace(consume=consume))
        with pytest.raises(KafkaException):
            next(intake.windows(Stop(1)))


def test_a_worker_that_the_group_has_put_out_is_not_ready_until_it_is_let_in_again(
    intake: Intake,
) -> None:
    """Idle or not: no comment of its partitions is judged here."""
    place = TopicPartition("comments", 0)
    consumer = cast("Consumer", _OffsetsOfOld(10, 30))
    troubles = intake._readiness.troubles  # noqa: SLF001
    intake._on_assign(consumer, [place])  # noqa: SLF001
    found = [troubles()]

    intake._on_lost(consumer, [place])  # noqa: SLF001
    found.append(troubles())
    intake._on_assign(consumer, [place])  # noqa: SLF001
    found.append(troubles())

    assert found == [[], [NOT_IN], []]


def test_a_worker_that_leaves_asks_for_no_offsets(intake: Intake) -> None:
    """A client that is being closed gives none, and is not closed until the callback returns."""
    given: list[tuple[int, int]] = []
    consumer = SimpleNamespace(
        incremental_assign=lambda partitions: given.extend(
            (p.partition, p.offset) for p in partitions
        ),
        pause=lambda _: None,
    )
    intake.drain()

    intake._on_assign(cast("Any", consumer), [TopicPartition("comments", 3)])  # noqa: SLF001
    intake._after_call()  # noqa: SLF001 - nothing was asked for that this consumer has not

    assert given == [(3, OFFSET_END)]


@pytest.mark.parametrize(
    ("deadline_s", "max_poll_s", "waited_s"),
    [(30, 300, 30), (30, 60, 15), (5, 60, 5)],
)
def test_a_revocation_never_waits_so_long_that_the_group_evicts_the_worker(
    deadline_s: float, max_poll_s: float, waited_s: float
) -> None:
    """The callback stands in the thread that polls: a quarter of the interval is the most."""
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=NOBODY),
        publish=PublishSettings(revoke_deadline_s=deadline_s),
        intake=IntakeSettings(max_poll_interval_s=max_poll_s),
    )
    found = Shared(settings, Stop(1), _Deadlines())
    consumer = SimpleNamespace(
        consumer_group_metadata=lambda: metadata_of(1, "us"), incremental_unassign=lambda _: None
    )
    with closing(Intake(found)) as intake:
        intake._on_revoke(cast("Any", consumer), [TopicPartition("comments", 0)])  # noqa: SLF001
        intake._after_call()  # noqa: SLF001

    assert _Deadlines.seen == waited_s


class _Deadlines(Claims):
    """Claims that note how long they may keep partitions back."""

    seen = 0.0

    def revoke(self, partitions: Iterable[Partition], deadline_s: float) -> bool:
        """Give partitions back, as ever."""
        _Deadlines.seen = deadline_s
        return super().revoke(partitions, deadline_s)


def test_a_client_that_does_not_come_to_an_end_is_left_behind(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is committed by then, and the others wait for the group as long as this process lives."""
    returns = Event()
    monkeypatch.setattr("worker.intake.LEAVE_S", 0.1)
    with monkeypatch.context() as patch:
        patch.setattr(intake, "_consumer", SimpleNamespace(close=returns.wait))
        intake.close()
    assert not returns.is_set()
    returns.set()
