"""Transactions against a cluster with a script: each answer to each failure."""

import logging
from threading import Event
from time import monotonic

import pytest
from confluent_kafka import KafkaError, TopicPartition

from deploy.broker import LocalBroker
from rig.fake_cluster import FakeCluster, abortable, fatal, retriable
from rig.make import make_shared
from schemas.errors import ClusterError, TopicError
from worker.kafka_errors import TOO_LARGE
from worker.settings import KafkaSettings, Settings
from worker.shared import Shared, Stop
from worker.transactions import AbortedError, Transactions
from worker.window import Outgoing

MESSAGES = [Outgoing("verdicts", f"k{n}".encode(), b"{}", []) for n in range(3)]
OFFSETS = [TopicPartition("comments", 0, 7)]
QUEUE_FULL = KafkaError(KafkaError._QUEUE_FULL)  # noqa: SLF001 - a public constant
STATE = KafkaError(KafkaError._STATE)  # noqa: SLF001 - a public constant


@pytest.fixture
def cluster() -> FakeCluster:
    """Give a cluster on which nothing fails yet."""
    return FakeCluster()


@pytest.fixture
def shared() -> Shared:
    """Give what threads share."""
    return make_shared()


@pytest.fixture
def transactions(cluster: FakeCluster, shared: Shared) -> Transactions:
    """Give transactions that are open."""
    found = Transactions(shared, cluster.make)
    found.open()
    return found


def send(transactions: Transactions) -> None:
    """Send messages and offsets."""
    transactions.send(MESSAGES, OFFSETS, "metadata")


def send_and_commit(transactions: Transactions) -> None:
    """Send and commit, as a publisher does."""
    send(transactions)
    transactions.commit()


def test_offsets_are_sent_last_of_all(cluster: FakeCluster, transactions: Transactions) -> None:
    """A transaction that is torn in two repeats and never loses."""
    send(transactions)
    transactions.commit()

    assert ["new", "init", "begin", *["produce"] * 3, "send_offsets", "commit"] == cluster.calls
    assert cluster.offsets == {0: 7}


def test_the_name_is_the_group_and_the_slot(
    cluster: FakeCluster,
    transactions: Transactions,  # noqa: ARG001 - it makes the producer
) -> None:
    """Stable over restarts, so that a successor ends what its predecessor left open."""
    assert cluster.properties["transactional.id"] == "group-0"
    assert cluster.properties["transaction.timeout.ms"] == 15_000
    assert cluster.properties["partitioner"] == "murmur2_random"


def test_a_coordinator_that_moved_is_looked_for_each_second(
    cluster: FakeCluster,
    transactions: Transactions,  # noqa: ARG001 - it makes the producer
) -> None:
    """The client asks for it when it cannot connect to the old one: row B2 paused for 21 s."""
    assert cluster.properties["reconnect.backoff.max.ms"] == 1_000


def test_no_bound_of_the_clients_own_is_in_the_way(
    cluster: FakeCluster,
    transactions: Transactions,  # noqa: ARG001 - it makes the producer
) -> None:
    """Topics say how large a record may be; a window's messages have room while it is sent."""
    assert cluster.properties["message.max.bytes"] == 10_485_760
    assert cluster.properties["queue.buffering.max.messages"] >= 3 * 500  # verdict, flag, letter


@pytest.mark.parametrize("call", ["begin", "send_offsets", "commit"])
def test_what_may_be_called_again_is_called_again(
    call: str, cluster: FakeCluster, transactions: Transactions
) -> None:
    """The same call, and nothing is produced twice."""
    cluster.will_fail(call, retriable(), retriable())

    send(transactions)
    transactions.commit()

    assert cluster.called(call) == 3
    assert 3 == cluster.called("produce") == len(cluster.committed)
    assert cluster.called("new") == 1


def test_a_cold_cluster_is_waited_for_at_the_start(cluster: FakeCluster, shared: Shared) -> None:
    """Coordinators load their state in their own time."""
    cluster.will_fail("init", retriable(KafkaError.COORDINATOR_LOAD_IN_PROGRESS), retriable())

    Transactions(shared, cluster.make).open()

    assert cluster.called("init") == 3


def test_a_producer_that_cannot_be_initialised_is_made_anew(
    cluster: FakeCluster, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was told that there are no brokers never connects again."""
    monkeypatch.setattr("worker.transactions.START_OVER_S", 0)
    cluster.will_fail("init", retriable(), retriable())

    Transactions(shared, cluster.make).open()

    assert cluster.calls == ["new", "init"] * 3


def test_offsets_that_are_never_sent_are_an_abort(
    cluster: FakeCluster, transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client may wait for the group's coordinator for ever (librdkafka#5456)."""
    monkeypatch.setattr("worker.transactions.CALL_S", 0.1)
    enough = Event()
    cluster.hang = enough.wait

    with pytest.raises(AbortedError, match="_TIMED_OUT"):
        send(transactions)

    enough.set()


def test_a_full_queue_is_waited_for(cluster: FakeCluster, transactions: Transactions) -> None:
    """The message that would not go in goes in once there is room."""
    cluster.will_fail("produce", None, QUEUE_FULL, QUEUE_FULL)

    send(transactions)
    transactions.commit()

    assert [sent.key for sent in cluster.committed] == [b"k0", b"k1", b"k2"]


@pytest.mark.parametrize("call", ["begin", "produce", "send_offsets", "commit"])
def test_after_an_abort_the_producer_is_a_new_one(
    call: str, cluster: FakeCluster, shared: Shared, transactions: Transactions
) -> None:
    """A late EndTxn of the old one must not end a transaction of the new one (KAFKA-17754)."""
    cluster.will_fail(call, abortable())

    with pytest.raises(AbortedError):
        send_and_commit(transactions)
    assert "a window waits: _TIMED_OUT" in shared.readiness.troubles()
    transactions.recover()
    before = len(cluster.calls)
    send(transactions)
    transactions.commit()

    assert cluster.calls[before - 4 : before] == ["abort", "purge", "new", "init"]
    assert len(cluster.committed) == 3
    assert cluster.offsets == {0: 7}
    assert not any("window waits" in trouble for trouble in shared.readiness.troubles())


def test_after_an_abort_a_worker_is_not_ready_until_its_window_is_committed(
    cluster: FakeCluster, shared: Shared, transactions: Transactions
) -> None:
    """A new producer alone judges nothing: the window still waits."""
    shared.readiness.clear("group")
    cluster.will_fail("send_offsets", abortable())
    with pytest.raises(AbortedError):
        send(transactions)

    transactions.recover()

    assert len(shared.readiness.troubles()) == 1
    send_and_commit(transactions)
    assert shared.readiness.troubles() == []


def test_an_abort_that_fails_is_left_to_the_new_producer(
    cluster: FakeCluster, transactions: Transactions
) -> None:
    """Its initialisation ends whatever the old one left open."""
    cluster.will_fail("send_offsets", abortable())
    cluster.will_fail("abort", fatal())
    with pytest.raises(AbortedError):
        send(transactions)

    transactions.recover()
    send(transactions)
    transactions.commit()

    assert cluster.called("new") == 2
    assert len(cluster.committed) == 3


def test_a_topic_that_was_deleted_ends_the_worker_by_its_name(
    cluster: FakeCluster, transactions: Transactions
) -> None:
    """What is aborted for want of a topic is aborted again, for ever; once may be chance."""
    cluster.will_fail("commit", abortable(), abortable())
    cluster.topics.remove("verdicts")
    with pytest.raises(AbortedError):
        send_and_commit(transactions)
    transactions.recover()
    with pytest.raises(AbortedError):
        send_and_commit(transactions)

    with pytest.raises(TopicError, match="topic verdicts does not exist"):
        transactions.recover()


def test_messages_of_no_topic_of_comments_are_committed_without_offsets(
    cluster: FakeCluster, transactions: Transactions
) -> None:
    """What came over the API is in nobody's group."""
    transactions.send(MESSAGES, [], None)
    transactions.commit()

    assert ["new", "init", "begin", *["produce"] * 3, "commit"] == cluster.calls


def test_without_a_doubt_nothing_is_rebuilt(
    cluster: FakeCluster, transactions: Transactions
) -> None:
    """A new producer costs 65 ms."""
    transactions.recover()

    assert cluster.called("new") == 1


@pytest.mark.parametrize("trouble", ["req_timeouts", "disconnects"])
def test_a_request_that_may_arrive_late_is_a_doubt(
    trouble: str, cluster: FakeCluster, transactions: Transactions
) -> None:
    """Statistics and log show it; the error callback does not (KAFKA-17754)."""
    tell = cluster.properties["stats_cb"]
    tell(f'{{"brokers": {{"a": {{"name": "TxnCoordinator", "{trouble}": 0}}}}}}')
    transactions.recover()
    assert cluster.called("new") == 1

    tell(f'{{"brokers": {{"a": {{"name": "TxnCoordinator", "{trouble}": 1}}}}}}')
    transactions.recover()

    assert cluster.called("new") == 2


@pytest.mark.parametrize(
    ("line", "producers"),
    [
        ("[thrd:b:9092/2]: b:9092/2: Disconnected (after 451ms in state UP)", 2),
        ("[thrd:b:9092/2]: b:9092/2: Connect failed: refused (after 0ms in state CONNECT)", 1),
    ],
)
def test_a_connection_that_broke_is_a_doubt_before_the_next_window(
    line: str, producers: int, cluster: FakeCluster, transactions: Transactions
) -> None:
    """Offsets that come late would take the place of the next ones; statistics come too late."""
    cluster.properties["logger"].log(logging.INFO, "%s [%s] %s", "FAIL", "a producer", line)

    transactions.recover()

    assert cluster.called("new") == producers


def test_a_request_that_was_answered_and_sent_again_is_no_doubt(
    cluster: FakeCluster, transactions: Transactions
) -> None:
    """A busy coordinator asks to come again many times a minute; each rebuild costs a window."""
    cluster.properties["stats_cb"](
        '{"brokers": {"a": {"name": "TxnCoordinator", "txretries": 7, "req_timeouts": 0}}}'
    )

    transactions.recover()

    assert cluster.called("new") == 1


@pytest.mark.parametrize("code", [KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH])  # noqa: SLF001 - public constants
def test_fenced_once_is_rebuilt(
    code: int, cluster: FakeCluster, transactions: Transactions
) -> None:
    """A transaction that outlived its timeout looks the same (KIP-588 is missing)."""
    cluster.will_fail("send_offsets", fatal(code))

    with pytest.raises(AbortedError):
        send(transactions)
    transactions.recover()
    send(transactions)
    transactions.commit()

    assert cluster.called("init") == 2
    assert len(cluster.committed) == 3


def test_fenced_again_after_a_minute_is_rebuilt_once_more(
    cluster: FakeCluster, transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two outages of brokers on one day are no second worker."""
    cluster.will_fail("send_offsets", fatal(), fatal())
    with pytest.raises(AbortedError):
        send(transactions)
    transactions.recover()
    monkeypatch.setattr("worker.transactions.monotonic", lambda: monotonic() + 61)

    with pytest.raises(AbortedError):
        send(transactions)
    transactions.recover()
    send_and_commit(transactions)

    assert len(cluster.committed) == 3


def test_fenced_twice_within_a_minute_is_the_end(
    cluster: FakeCluster, transactions: Transactions
) -> None:
    """Two workers under one name would fence each other for ever; the setting is named."""
    cluster.will_fail("send_offsets", fatal(), fatal())
    with pytest.raises(AbortedError):
        send(transactions)
    transactions.recover()

    with pytest.raises(ClusterError, match=r"group-0 was fenced twice") as caught:
        send(transactions)

    assert "TIDEGATE_SLOT" in (caught.value.hint or "")
    assert cluster.committed == []


@pytest.mark.parametrize(
    "error",
    [fatal(), fatal(KafkaError._FATAL), KafkaError(KafkaError.UNKNOWN)],  # noqa: SLF001 - a public constant
)
def test_an_unknown_outcome_is_never_published_again(
    error: KafkaError, cluster: FakeCluster, transactions: Transactions
) -> None:
    """Perhaps it was committed: only a restart from the committed offsets knows."""
    cluster.will_fail("commit", error)
    send(transactions)

    with pytest.raises(ClusterError, match="whether the window was committed is unknown"):
        transactions.commit()

    assert cluster.calls[-1] == "commit"


def test_a_commit_is_called_again_for_as_long_as_nobody_reaches_the_cluster(
    cluster: FakeCluster, transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage may last; but a client that alone does not come back never will.

    It is given time after another one was back, so that an outage's end does not end workers.
    """
    reached = iter([False, False, True])
    monkeypatch.setattr("worker.transactions.START_OVER_S", 0)
    monkeypatch.setattr(Transactions, "_others_reach_the_cluster", lambda _: next(reached))
    cluster.will_fail("commit", *[retriable()] * 10)
    send(transactions)

    with pytest.raises(ClusterError, match="whether the window was committed is unknown"):
        transactions.commit()

    assert cluster.called("commit") == 4
    assert next(reached, None) is None


def test_a_commit_that_succeeds_after_others_are_back_is_a_commit(
    cluster: FakeCluster, transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The producer connects a little later than they do."""
    monkeypatch.setattr("worker.transactions.START_OVER_S", 0)
    monkeypatch.setattr(Transactions, "_others_reach_the_cluster", lambda _: True)
    cluster.will_fail("commit", retriable())
    send(transactions)

    transactions.commit()

    assert len(cluster.committed) == 3


@pytest.mark.broker
def test_whether_others_reach_the_cluster_is_asked_of_a_client_of_its_own(
    broker: LocalBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a broker that is there, and of a port where there is none."""
    monkeypatch.setattr("worker.transactions.CALL_S", 1.0)
    here, nowhere = (
        Transactions(Shared(Settings(kafka=KafkaSettings(bootstrap_servers=servers)), Stop(1)))
        for servers in (broker.bootstrap_servers, "127.0.0.1:1")
    )

    assert here._others_reach_the_cluster()  # noqa: SLF001 - no fake stands for this client
    assert not nowhere._others_reach_the_cluster()  # noqa: SLF001


def test_a_draining_worker_calls_commit_no_more() -> None:
    """Past its time the outcome stays unknown, and the process ends."""
    cluster, shared = FakeCluster(), make_shared(drain_s=1e-9)
    transactions = Transactions(shared, cluster.make)
    transactions.open()
    cluster.will_fail("commit", retriable(), retriable())
    send(transactions)
    shared.stop.set()

    with pytest.raises(ClusterError, match="unknown"):
        transactions.commit()

    assert cluster.called("commit") == 1


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "transactional ids"),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, "IdempotentWrite"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "Read on the group"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "output topics"),
    ],
)
def test_a_missing_right_is_named(code: int, hint: str, cluster: FakeCluster) -> None:
    """Each with what to allow."""
    cluster.will_fail("init", fatal(code))

    with pytest.raises(ClusterError) as caught:
        Transactions(make_shared(), cluster.make).open()

    assert hint in (caught.value.hint or "")


def test_a_right_that_turns_out_to_be_missing_at_the_commit_is_named(
    cluster: FakeCluster, transactions: Transactions
) -> None:
    """The last messages are delivered by the commit; a window of a few is found out there."""
    cluster.will_fail("commit", abortable(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    send(transactions)

    with pytest.raises(ClusterError, match="TOPIC_AUTHORIZATION_FAILED") as caught:
        transactions.commit()

    assert "allow Write and Describe on the output topics" in (caught.value.hint or "")


@pytest.mark.parametrize("call", ["produce", "send_offsets"])
def test_a_call_that_only_says_that_the_transaction_failed_is_asked_why(
    call: str, cluster: FakeCluster, transactions: Transactions
) -> None:
    """It fails in the background while a long window is being sent; to begin says why it did."""
    cluster.will_fail(call, STATE)
    cluster.will_fail("begin", None, abortable(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    with pytest.raises(ClusterError, match="TOPIC_AUTHORIZATION_FAILED") as caught:
        send(transactions)

    assert "allow Write and Describe on the output topics" in (caught.value.hint or "")


def test_a_transaction_that_failed_in_the_background_is_published_again(
    cluster: FakeCluster, transactions: Transactions
) -> None:
    """It is no reason to end: an abort was asked for, by an error that another call hid."""
    cluster.will_fail("produce", STATE)
    cluster.will_fail("begin", None, abortable())

    with pytest.raises(AbortedError, match="_TIMED_OUT"):
        send(transactions)

    transactions.recover()
    send_and_commit(transactions)


@pytest.mark.parametrize(
    "code",
    [KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.STALE_MEMBER_EPOCH],
)
def test_a_stale_generation_asks_for_newer_metadata(
    code: int, cluster: FakeCluster, transactions: Transactions
) -> None:
    """Ordinary in a rolling deploy: abort, refresh, publish again."""
    cluster.will_fail("send_offsets", abortable(code))

    with pytest.raises(AbortedError) as caught:
        send(transactions)

    assert caught.value.stale_member


def test_delivery_reports_name_the_culprits(
    cluster: FakeCluster, transactions: Transactions
) -> None:
    """By their place among the messages; what only went down with them is not named."""
    cluster.refuses = lambda s: KafkaError.INVALID_RECORD if s.key == b"k1" else None

    with pytest.raises(AbortedError) as caught:
        send(transactions)

    assert caught.value.culprits == {1: "INVALID_RECORD"}
    assert list(caught.value.suspects) == []


@pytest.mark.parametrize("code", sorted(TOO_LARGE))
def test_a_batch_that_is_too_large_makes_suspects(
    code: int, cluster: FakeCluster, transactions: Transactions
) -> None:
    """The broker refuses it as a whole: nobody is a culprit until refused alone."""
    cluster.refuses = lambda s: code if s.key == b"k1" else None

    with pytest.raises(AbortedError) as caught:
        send(transactions)

    assert caught.value.culprits == {}
    assert list(caught.value.suspects) == [0, 1, 2]


def test_all_that_the_client_refuses_is_named_at_once(
    cluster: FakeCluster, transactions: Transactions
) -> None:
    """One at a time, a window of large records would take an abort for each of them."""
    cluster.refuses_at_once = lambda s: None if s.key == b"k1" else KafkaError.MSG_SIZE_TOO_LARGE

    with pytest.raises(AbortedError) as caught:
        send(transactions)

    assert {0, 2} == caught.value.culprits.keys()
    assert cluster.called("send_offsets") == 0


def test_a_producer_before_it_is_open_is_a_bug(cluster: FakeCluster, shared: Shared) -> None:
    """The message says so."""
    with pytest.raises(ClusterError, match="this is a bug"):
        send(Transactions(shared, cluster.make))


EVERYWHERE = {
    (name, n) for name in ("verdicts", "flags", "dead-letters", "feedback") for n in (0, 1)
}


def test_what_a_broker_left_open_is_aborted_on_every_partition(
    cluster: FakeCluster, transactions: Transactions
) -> None:
    """The group's, too: offsets are sent, and where they are refused its partition is noted."""
    cluster.will_fail("send_offsets", abortable(KafkaError.UNKNOWN_MEMBER_ID))

    assert transactions.end_left_open()

    assert cluster.calls[2:] == ["begin", *["produce"] * 8, "send_offsets", "abort"]
    assert cluster.aborted == EVERYWHERE
    assert cluster.committed == []


@pytest.mark.parametrize("call", ["begin", "produce", "abort"])
def test_what_was_left_open_and_could_not_be_aborted_is_tried_again_by_another_producer(
    call: str, cluster: FakeCluster, transactions: Transactions
) -> None:
    """The one before may be in any state."""
    cluster.will_fail(call, fatal())

    assert not transactions.end_left_open()
    assert transactions.end_left_open()

    assert cluster.called("new") == 2
    assert cluster.aborted == EVERYWHERE
