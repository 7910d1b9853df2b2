"""The last room: what is published, what is published again, and what never is."""

from collections.abc import Callable, Collection, Iterable, Sequence

import pytest
from confluent_kafka import KafkaError, TopicPartition
from hypothesis import given
from hypothesis.strategies import integers, lists, none, sampled_from

from rig.fake_cluster import FakeCluster, Sent, abortable, fatal, retriable
from rig.make import make_fetched, make_judge, make_record, make_shared, value_of
from rig.stub import stub_score, stub_tokenise
from schemas.errors import ClusterError
from worker.accounts import Accounts
from worker.breaker import Breaker
from worker.kafka_errors import STALE_MEMBER
from worker.prepare import Prepare
from worker.publish import ExactlyOnce
from worker.run import publisher
from worker.settings import BreakerSettings, LimitSettings, Settings, TopicSettings
from worker.shared import Shared
from worker.transactions import Transactions
from worker.window import Fetched, Judged, Partition, Record

TOPICS = TopicSettings()
EVERYWHERE = {
    (name, n) for name in ("verdicts", "flags", "dead-letters", "feedback") for n in (0, 1)
}
TOO_LARGE = KafkaError.MSG_SIZE_TOO_LARGE


class Room:
    """The publisher on a fake cluster, with three partitions of the comments topic."""

    def __init__(self, drain_s: float = 20) -> None:
        self.cluster = FakeCluster()
        self.shared: Shared = make_shared(drain_s)
        self.partitions = [Partition("comments", number) for number in range(3)]
        self.shared.claims.assign(self.partitions)
        self.shared.claims.refresh("metadata")
        transactions = Transactions(self.shared, self.cluster.make)
        transactions.open()
        accounts = Accounts(self.shared.metrics, Breaker(BreakerSettings()))
        self.held_back: set[Partition] = set()  # by a transaction that a broker left open
        self.tells = True  # what is held back
        self.publish = ExactlyOnce(
            self.shared,
            transactions,
            make_judge(),
            accounts,
            self._are_held_back,
        )

    def _are_held_back(
        self,
        _: Settings,
        partitions: Collection[Partition] | None,
        __: float,
        beat: Callable[[], None],
    ) -> bool:
        while not self.tells:
            beat()
        return bool(
            self.held_back if partitions is None else self.held_back.intersection(partitions)
        )

    def window(self, records: Sequence[Record]) -> Judged:
        """Return a window that is on the device, claimed under the assignment of now."""
        claim = self.shared.claims.claim({record.partition for record in records})
        self.shared.claims.board(claim)
        prepared = Prepare(LimitSettings(), stub_tokenise)(Fetched(claim, records))
        return make_judge()(stub_score(prepared))

    def verdicts(self) -> list[bytes | None]:
        """Return the keys of the committed verdicts, in order."""
        return [sent.key for sent in self.cluster.committed if sent.topic == TOPICS.verdicts]

    def letters(self) -> list[Sent]:
        """Return the committed dead letters."""
        return [sent for sent in self.cluster.committed if sent.topic == TOPICS.dead_letters]

    def nothing_is_aboard(self) -> bool:
        """Say whether a revocation would go through at once."""
        return self.shared.claims.revoke(self.partitions, deadline_s=0)


@pytest.fixture
def room() -> Room:
    """Give a publisher."""
    return Room()


def comments(offsets: Iterable[int], partition: int = 0) -> list[Record]:
    """Return harmless comments at such offsets, each under a key of its own."""
    return [
        make_record(
            n,
            value_of("fine", f"k{partition}-{n}"),
            f"k{partition}-{n}".encode(),
            partition=partition,
        )
        for n in offsets
    ]


def test_a_window_and_its_offsets_are_one_transaction(room: Room) -> None:
    """Verdicts in order, then the offset after the last record of each partition."""
    room.publish(room.window(comments([3, 4, 9]) + comments([5], partition=1)))

    assert room.verdicts() == [b"k0-3", b"k0-4", b"k0-9", b"k1-5"]
    assert room.cluster.offsets == {0: 10, 1: 6}
    assert room.cluster.called("commit") == 1
    assert room.nothing_is_aboard()


def test_a_window_of_an_older_assignment_is_never_published(room: Room) -> None:
    """Not even when its partitions are ours again; no transaction begins for it."""
    window = room.window(comments([3]))
    room.shared.claims.lose(room.partitions)
    room.shared.claims.assign(room.partitions)

    room.publish(window)

    assert room.cluster.committed == []
    assert room.cluster.called("begin") == 0


def test_of_a_window_only_what_is_still_ours_is_published(room: Room) -> None:
    """And only the offsets of what is."""
    window = room.window(comments([3]) + comments([5], partition=1))
    room.shared.claims.lose([room.partitions[0]])

    room.publish(window)

    assert room.verdicts() == [b"k1-5"]
    assert room.cluster.offsets == {1: 6}


@given(
    failures=lists(
        sampled_from(["begin", "produce", "send_offsets", "commit"]), min_size=1, max_size=6
    )
)
def test_after_any_aborts_the_same_window_is_published_once(failures: list[str]) -> None:
    """From memory, without a rewind: the same bytes, and each verdict once."""
    room = Room()
    for call in failures:
        room.cluster.will_fail(call, abortable())

    room.publish(room.window(comments(range(5))))

    assert [f"k0-{n}".encode() for n in range(5)] == room.verdicts()
    assert room.cluster.offsets == {0: 5}
    assert len(failures) + 1 == room.cluster.called("init")


def test_what_is_lost_during_an_abort_is_left_out(room: Room) -> None:
    """Its new owner starts from the committed offsets; ours are never sent."""
    claims, partitions = room.shared.claims, room.partitions
    window = room.window(comments([3]) + comments([5], partition=1))
    room.cluster.will_fail("commit", abortable())
    enter = room.cluster.enter

    def enter_and_lose(call: str) -> None:
        if call == "abort":
            claims.lose([partitions[1]])
        enter(call)

    room.cluster.enter = enter_and_lose  # type: ignore[method-assign]

    room.publish(window)

    assert room.verdicts() == [b"k0-3"]
    assert room.cluster.offsets == {0: 4}


def test_after_an_unknown_commit_nothing_is_published(room: Room) -> None:
    """The error leaves the room, and the window is off the device all the same."""
    room.cluster.will_fail("commit", fatal())

    with pytest.raises(ClusterError, match="unknown"):
        room.publish(room.window(comments(range(5))))

    assert room.cluster.committed == []
    assert room.cluster.called("produce") == 5
    assert room.nothing_is_aboard()


@given(errors=lists(sampled_from([retriable(), abortable(), None]), max_size=8))
def test_offsets_that_fail_again_and_again_are_sent_in_the_end(
    errors: list[KafkaError | None],
) -> None:
    """Whether the same call is repeated, or the window published again."""
    room = Room()
    room.cluster.will_fail("send_offsets", *errors)

    room.publish(room.window(comments(range(2))))

    assert len(room.verdicts()) == 2


@pytest.mark.parametrize("code", sorted(STALE_MEMBER))
def test_after_a_stale_generation_offsets_are_sent_under_the_metadata_that_is_read_next(
    code: int, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one would be refused again and again, until intake looked by chance."""
    claims = room.shared.claims
    monkeypatch.setattr(claims, "await_metadata", lambda *_: claims.refresh("newer"))
    room.cluster.will_fail("send_offsets", abortable(code))

    room.publish(room.window(comments(range(2))))

    assert room.cluster.metadata == ["metadata", "newer"]
    assert len(room.verdicts()) == 2


def refuse(*keys: bytes, topic: str) -> Callable[[Sent], int | None]:
    """Make a broker's refusal of values under such keys on a topic."""
    return lambda s: TOO_LARGE if s.topic == topic and s.key in keys and s.value else None


@pytest.mark.parametrize("where", ["refuses", "refuses_at_once"])
def test_a_culprit_becomes_a_dead_letter_without_payload(room: Room, where: str) -> None:
    """Its hash and size tell which it was; its neighbours are judged as if nothing were."""
    bad = make_record(1, b"{" * 1_000, b"bad", headers=[("a", b"1")])
    setattr(room.cluster, where, refuse(b"bad", topic=TOPICS.dead_letters))

    room.publish(room.window([*comments([0]), bad, *comments([2])]))

    (letter,) = room.letters()
    assert (letter.key, letter.value) == (b"bad", None)
    assert b"value of 1,000 bytes, sha256 " in (dict(letter.headers)["tidegate.detail"] or b"")
    assert room.verdicts() == [b"k0-0", b"bad", b"k0-2"]
    assert room.cluster.offsets == {0: 3}


def test_a_comment_whose_flag_is_refused_is_held(room: Room) -> None:
    """The verdict on it could not be told as it was: a person looks."""
    once = iter([KafkaError.INVALID_RECORD])
    room.cluster.refuses = lambda s: next(once, None) if s.key == b"k0-1" else None

    room.publish(room.window(comments(range(3))))

    (letter,) = room.letters()
    assert dict(letter.headers)["tidegate.reason"] == b"refused_by_broker"
    assert room.verdicts() == [b"k0-0", b"k0-1", b"k0-2"]
    held = [sent.value for sent in room.cluster.committed if b'"held"' in (sent.value or b"")]
    assert len(held) == 2  # on verdicts and on flags


def test_many_that_the_client_refuses_take_one_abort(room: Room) -> None:
    """However many hostile records a window holds, they never end the worker."""
    records = [make_record(n, b"{", f"bad{n}".encode()) for n in range(50)]
    keys = [record.key or b"" for record in records]
    room.cluster.refuses_at_once = refuse(*keys, topic=TOPICS.dead_letters)

    room.publish(room.window(records))

    assert 50 == len(room.letters()) == len(room.verdicts())
    assert room.cluster.called("begin") == 2


def test_what_the_broker_refuses_for_good_ends_the_worker(room: Room) -> None:
    """A held verdict that is refused, too, has nothing left that could be at fault."""
    room.cluster.refuses = lambda s: TOO_LARGE if s.topic == TOPICS.verdicts else None

    with pytest.raises(ClusterError, match="the broker refuses what we publish: MSG_SIZE_TOO") as e:
        room.publish(room.window(comments(range(3))))

    assert "max.message.bytes" in (e.value.hint or "")
    assert room.cluster.committed == []
    assert room.cluster.called("begin") == 3  # in company, alone, and without its payload


def test_one_that_is_too_large_does_not_condemn_its_batch(room: Room) -> None:
    """The broker refuses the batch as a whole; only the one refused alone is the culprit."""
    bad = make_record(50, b"{" * 1_000, b"bad")
    room.cluster.refuses = refuse(b"bad", topic=TOPICS.dead_letters)

    room.publish(room.window([*comments(range(50)), bad, *comments(range(51, 60))]))

    (letter,) = room.letters()
    assert (letter.key, letter.value) == (b"bad", None)
    held = [sent for sent in room.cluster.committed if b'"held"' in (sent.value or b"")]
    assert {b"bad"} == {sent.key for sent in held}
    assert room.cluster.called("begin") == 3


def test_a_topic_that_takes_no_batch_ends_the_worker_and_condemns_nobody(room: Room) -> None:
    """Where hundreds share the blame it is the topic's limit that is wrong."""
    room.cluster.refuses = lambda s: TOO_LARGE if s.topic == TOPICS.verdicts else None

    with pytest.raises(ClusterError, match="MSG_SIZE_TOO_LARGE"):
        room.publish(room.window(comments(range(300))))

    assert room.cluster.committed == []
    assert room.cluster.called("begin") == 1


@pytest.mark.parametrize(
    "code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART]
)
def test_what_no_repetition_mends_ends_the_worker(room: Room, code: int) -> None:
    """A right that was taken away, a topic that was deleted: named, and not tried again."""
    room.cluster.will_fail("send_offsets", abortable(code))

    with pytest.raises(ClusterError) as caught:
        room.publish(room.window(comments([0])))

    assert caught.value.hint
    assert room.cluster.called("begin") == 1


def test_an_idle_publisher_serves_its_client(room: Room) -> None:
    """Statistics and log lines would pile up in memory while no comment comes."""
    before = room.cluster.polls

    room.publish.idle()

    assert room.cluster.polls == before + 1


def test_a_window_that_is_lost_after_an_abort_leaves_no_trouble(room: Room) -> None:
    """Readiness does not wait for a commit that will never come."""
    room.cluster.will_fail("send_offsets", abortable())
    window = room.window(comments([0]))
    room.cluster.refuses = lambda _: room.shared.claims.lose(room.partitions)

    room.publish(window)

    assert not any("window waits" in trouble for trouble in room.shared.readiness.troubles())


def test_a_refused_tombstone_ends_the_worker(room: Room) -> None:
    """It must not be dropped: the platform was asked to forget."""
    room.cluster.refuses = lambda s: KafkaError.INVALID_RECORD if s.value is None else None

    with pytest.raises(ClusterError, match="INVALID_RECORD"):
        room.publish(room.window([make_record(0, None, b"gone")]))


@given(rows=lists(sampled_from([0, 1, 2]), min_size=1, max_size=12), lost=none() | integers(0, 2))
def test_offsets_speak_only_of_what_was_produced(rows: list[int], lost: int | None) -> None:
    """Never of a partition that the gate closed."""
    room = Room()
    window = room.window([r for n, p in enumerate(rows) for r in comments([n], partition=p)])
    if lost is not None:
        room.shared.claims.lose([room.partitions[lost]])

    room.publish(window)

    expected = {p: n + 1 for n, p in enumerate(rows) if p != lost}
    assert expected == room.cluster.offsets
    assert sum(p != lost for p in rows) == len(room.verdicts())
    assert make_fetched([]).records == []


def test_what_a_broker_left_open_is_ended_while_nothing_is_ours(room: Room) -> None:
    """And what was committed is not known any more: it may have been undone."""
    room.publish(room.window(comments([3])))
    room.shared.claims.lose(room.partitions)
    room.shared.left_open.to_end.set()

    room.publish.idle()

    assert room.cluster.called("abort") == 1
    assert not room.shared.left_open.to_end.is_set()
    assert room.shared.committed.of(TopicPartition("comments", 0)) == 0


def test_what_a_broker_may_have_left_open_is_let_be_once_a_partition_is_ours(room: Room) -> None:
    """Its offsets were learnt: what held them back was another worker's, and has ended."""
    room.shared.left_open.to_end.set()

    room.publish.idle()

    assert room.cluster.called("abort") == 0
    assert not room.shared.left_open.to_end.is_set()


def test_a_window_goes_if_a_broker_left_the_one_before_open(room: Room) -> None:
    """Its end would be the end of both. All partitions are begun anew, at the group's offsets."""
    room.held_back = {room.partitions[1]}
    room.cluster.will_fail("send_offsets", abortable())

    room.publish(room.window(comments([3])))

    assert room.cluster.committed == []
    assert room.cluster.aborted == EVERYWHERE
    assert room.shared.claims.owned() == []
    assert room.shared.left_open.to_rejoin.is_set()
    assert room.nothing_is_aboard()


def test_what_a_predecessor_was_left_with_is_ended_at_the_start(room: Room) -> None:
    """Whoever has been given its partitions waits for it."""
    room.shared.claims.lose(room.partitions)
    room.held_back = {room.partitions[1]}

    room.publish.end_what_was_left_open()

    assert room.cluster.aborted == EVERYWHERE
    assert not room.shared.left_open.to_rejoin.is_set()


def test_a_worker_looks_for_it_as_soon_as_its_producer_is_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before it begins a transaction, whose end would be the end of that one, too."""
    cluster = FakeCluster()
    found: list[list[str]] = []
    monkeypatch.setattr(
        ExactlyOnce, "end_what_was_left_open", lambda _: found.append(list(cluster.calls))
    )

    publisher(make_shared(), make_judge(), cluster.make)

    assert found == [["new", "init"]]


def test_what_cannot_be_ended_ends_the_worker(room: Room) -> None:
    """Whatever it would publish next would end it, and nobody knows how it should."""
    room.held_back = {room.partitions[1]}
    room.cluster.topics.remove("flags")

    with pytest.raises(ClusterError, match="left open"):
        room.publish.end_what_was_left_open()


def test_what_holds_back_the_partitions_of_others_is_theirs_to_look_at(room: Room) -> None:
    """It is a transaction that they have begun, most likely."""
    room.shared.claims.lose(room.partitions[1:])
    room.held_back = {room.partitions[1]}
    room.cluster.will_fail("send_offsets", abortable())

    room.publish(room.window(comments([3])))

    assert room.verdicts() == [b"k0-3"]
    assert not room.shared.left_open.to_rejoin.is_set()


def test_without_an_answer_nothing_is_published_past_the_time_to_drain() -> None:
    """What was left open could be ended by it."""
    room = Room(drain_s=1e-9)
    room.tells = False
    window = room.window(comments([3]))
    room.cluster.will_fail("send_offsets", abortable())
    room.cluster.gate = lambda call: room.shared.stop.set() if call == "init" else None

    with pytest.raises(ClusterError, match="draining"):
        room.publish(window)

    assert room.cluster.committed == []
    assert room.nothing_is_aboard()
