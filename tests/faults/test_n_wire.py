"""Rows N1 to N5: faults on the wire, between workers and brokers."""

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Final

import pytest
from confluent_kafka import IsolationLevel, KafkaError

from faults.cluster import OFFSETS, TRANSACTIONS, Cluster
from faults.proxy import MEMBERSHIP, ApiKey, Proxy, Weather, end_txn_error, offset_commit_error
from faults.report import Row
from rig.stream import Stream, Worker, comments_all_the_while, eventually

pytestmark = pytest.mark.broker

MakeStream = Callable[[int], Stream]

# The client's own time-out is a minute: too long to wait for in a test, and no other than this.
IMPATIENT: Final = {"TIDEGATE_KAFKA__CLIENT__SOCKET_TIMEOUT_MS": 3_000}

FAULTS: Final = 5  # that one run of N1 meets
NOT_READY: Final = 503


@pytest.fixture
def proxy(one_node: Cluster) -> Iterator[Proxy]:
    """Give the proxy, with nothing left of what another test asked of it."""
    proxy = one_node.node.proxy
    proxy.counted.clear()
    yield proxy
    proxy.heal()


@pytest.fixture
def make_stream(one_node: Cluster, row: Row, tmp_path: Path) -> MakeStream:
    """Give a maker of streams of so many partitions, called like the test."""
    return one_node.maker_of_streams(row, tmp_path)


def verdicts_written(stream: Stream) -> int:
    """Return how far the verdicts' log has grown, what is not committed included."""
    found = stream._latest([stream.topics.verdicts], IsolationLevel.READ_UNCOMMITTED)  # noqa: SLF001 - the rig's own
    return sum(found.values())


@contextmanager
def a_window_up_to(last: ApiKey, stream: Stream, proxy: Proxy, comments: range) -> Iterator[None]:
    """Have a window of comments published as far as this request, which does not arrive."""
    written, asked = verdicts_written(stream), proxy.seen[last]
    with proxy.without({last}):
        stream.produce_comments(comments)
        eventually(
            lambda: (
                verdicts_written(stream) >= written + len(comments) and proxy.seen[last] > asked
            ),
            stream.logs,
        )
        yield


# -- N1: connections that break


@pytest.mark.row("N1")
def test_connections_that_break_at_random_are_mended(
    row: Row, one_node: Cluster, proxy: Proxy, make_stream: MakeStream
) -> None:
    """Cut, reset or half open, under load: a window is committed after each, by the same worker."""
    stream = make_stream(2)
    stream.watch()
    with one_node.worker(stream, **IMPATIENT) as worker:
        worker.wait_for("partitions assigned")
        with comments_all_the_while(stream, most=100_000, at_a_time=50):
            pauses = [pause_after(broken(proxy, row), worker) for _ in range(FAULTS)]
        stream.wait_until_judged()
        assert worker.stop() == 0
    row.measured(longest_pause_s=max(pauses))

    row.judged(stream.check())


def broken(proxy: Proxy, row: Row) -> str:
    """Break every connection in a way of chance, and return its name."""
    fault = row.random.choice(["cut", "reset", "half open"])
    before = proxy.counted[fault]
    if fault == "half open":
        with proxy.half_open():
            eventually(lambda: proxy.counted[fault] > before)
            Event().wait(row.random.uniform(0.2, 1.0))
    else:
        eventually(lambda: (proxy.cut if fault == "cut" else proxy.reset)() > 0)
    row.bit()
    return fault


def pause_after(fault: str, worker: Worker) -> float:
    """Wait for the second window that is committed from now on, and return how long it took.

    The second: the first may have been committed already, and only be logged now.
    """
    start = monotonic()
    worker.wait_for("window", times=len(worker.events("window")) + 2)
    assert worker.process.poll() is None, f"ended after: {fault}"
    return monotonic() - start


# -- N2: a wire that is slow


@pytest.mark.row("N2")
def test_a_slow_wire_makes_it_slower_and_fences_nobody(
    row: Row, one_node: Cluster, proxy: Proxy, make_stream: MakeStream
) -> None:
    """300 ms, give or take 200, each way; 1 Mbit/s; in slices. No producer is rebuilt for it."""
    stream = make_stream(2)
    stream.watch()
    slow = Weather(latency_s=0.3, jitter_s=0.2, bytes_per_s=1e6 / 8, slice_bytes=400)
    with one_node.worker(stream, TIDEGATE_INTAKE__MAX_MESSAGES=500) as worker:
        worker.wait_for("partitions assigned")
        fast_s = seconds_to_judge(stream, range(1_000))
        with proxy.weather(slow):
            slow_s = seconds_to_judge(stream, range(1_000, 3_000))
        row.bit(proxy.counted["delayed"] > 0)
        assert worker.stop() == 0

        assert worker.events("producer rebuilt") == []
        assert worker.events("partitions lost") == []
    assert slow_s > fast_s
    row.measured(slow_s=slow_s, fast_s=fast_s)
    row.judged(stream.check())


def seconds_to_judge(stream: Stream, comments: range) -> float:
    """Publish comments, wait until they are judged, and return how long it took."""
    start = monotonic()
    stream.produce_comments(comments)
    stream.wait_until_judged()
    return monotonic() - start


# -- N3: no word from the group


@pytest.mark.row("N3")
def test_a_worker_cut_off_from_its_group_commits_nothing_of_what_another_owns(
    row: Row, one_node: Cluster, proxy: Proxy, make_stream: MakeStream
) -> None:
    """It goes on fetching; the broker refuses its offsets; its windows are dropped in the end."""
    stream = make_stream(2)
    stream.watch()
    with one_node.worker(stream, "0", **IMPATIENT) as lonely, stream.worker("1") as other:
        lonely.wait_for("partitions assigned")
        other.wait_for("partitions assigned")
        with comments_all_the_while(stream, most=100_000):
            with proxy.without(MEMBERSHIP):
                other.wait_for("partitions assigned", times=2)
                eventually(lambda: aborts(lonely) > 0, stream.logs)
                assert lonely.probe("/readyz")[0] == NOT_READY
                judged_by_it = len(lonely.events("window"))
                other.wait_for("window", times=len(other.events("window")) + 5)
                assert len(lonely.events("window")) == judged_by_it
            row.bit(aborts(lonely))
            lonely.wait_for("partitions lost")
            lonely.wait_for("partitions assigned", times=2)
            lonely.wait_for("window", times=judged_by_it + 1)
        stream.wait_until_judged()
        assert (lonely.stop(), other.stop()) == (0, 0)

    row.judged(stream.check())


@pytest.mark.slow_faults
@pytest.mark.row("N3")
def test_a_worker_cut_off_from_the_node_of_its_group_commits_nothing_of_what_another_owns(
    row: Row, three_nodes: Cluster, make_stream_on_three: MakeStream
) -> None:
    """All but one of three nodes answer it, the coordinator of its transactions among them."""
    stream = make_stream_on_three(3)
    stream.watch()
    node = three_nodes.coordinator_of(OFFSETS, stream.name)
    slot = next(
        slot
        for slot in map(str, range(100))
        if three_nodes.coordinator_of(TRANSACTIONS, f"{stream.name}-{slot}") is not node
    )
    with (
        three_nodes.worker(stream, slot, **IMPATIENT) as lonely,
        stream.worker("other") as other,
    ):
        eventually(lambda: lonely.owned() != set() != other.owned(), stream.logs)
        with comments_all_the_while(stream, most=100_000):
            with node.proxy.half_open():
                eventually(lambda: other.owned() == {0, 1, 2}, stream.logs)
                row.bit()
                eventually(lambda: lonely.probe("/readyz")[0] == NOT_READY, stream.logs)
                judged_by_it = len(lonely.events("window"))
                other.wait_for("window", times=len(other.events("window")) + 5)
                assert len(lonely.events("window")) == judged_by_it
            lonely.wait_for("partitions lost")
            eventually(lambda: lonely.owned() != set(), stream.logs)
            lonely.wait_for("window", times=judged_by_it + 1)
        stream.wait_until_judged()
        assert (lonely.stop(), other.stop()) == (0, 0)

    row.judged(stream.check())


def aborts(worker: Worker) -> int:
    """Return how many transactions a worker has aborted."""
    (line,) = re.findall(r"^tidegate_aborts_total (\S+)", worker.probe("/metrics")[1], re.MULTILINE)
    return int(float(line))


# -- N4: what arrives late


@pytest.mark.row("N4")
def test_an_end_of_a_transaction_that_arrives_late_is_fenced(
    row: Row, one_node: Cluster, proxy: Proxy, make_stream: MakeStream
) -> None:
    """The client asked again in silence; by the next window the producer is another (error 47)."""
    stream = make_stream(1)
    with one_node.worker(stream) as worker:
        error = late_end_of_a_transaction(stream, proxy, worker)
        assert len(worker.events("producer rebuilt")) == 1
    assert error == KafkaError.INVALID_PRODUCER_EPOCH
    row.bit(proxy.counted["held"])

    finished(stream, row)


@pytest.mark.row("N4")
def test_without_a_new_producer_a_late_end_tears_a_transaction(
    row: Row, one_node: Cluster, proxy: Proxy, make_stream: MakeStream
) -> None:
    """The fault bites (KAFKA-17754): verdicts without their offsets, which are judged again.

    Offsets come last in a transaction: what is torn repeats under the same ids, and is not lost.
    """
    stream = make_stream(1)
    with one_node.worker(stream, BUG="never_rebuilt") as worker:
        error = late_end_of_a_transaction(stream, proxy, worker)
    assert error == KafkaError.NO_ERROR
    row.bit(proxy.counted["held"])

    repeated(stream, row)


def late_end_of_a_transaction(stream: Stream, proxy: Proxy, worker: Worker) -> int:
    """Deliver the end of window 1 into window 2, kill the worker there, return the answer."""
    held = proxy.hold(ApiKey.END_TXN)
    stream.produce_comments(range(100))
    held.wait()
    worker.wait_for("window")
    with a_window_up_to(ApiKey.ADD_OFFSETS_TO_TXN, stream, proxy, range(100, 200)):
        answer = held.deliver()
        worker.process.kill()
    return end_txn_error(answer)


@pytest.mark.row("N4")
def test_offsets_that_arrive_late_are_fenced(
    row: Row, one_node: Cluster, proxy: Proxy, make_stream: MakeStream
) -> None:
    """They would take the place of the next window's offsets, and have it judged again."""
    stream = make_stream(1)
    with one_node.worker(stream, **IMPATIENT) as worker:
        error = late_offsets(stream, proxy, worker)
        assert len(worker.events("producer rebuilt")) >= 1
    assert error == KafkaError.INVALID_PRODUCER_EPOCH
    row.bit(proxy.counted["held"])

    finished(stream, row)


@pytest.mark.row("N4")
def test_without_a_new_producer_late_offsets_go_back(
    row: Row, one_node: Cluster, proxy: Proxy, make_stream: MakeStream
) -> None:
    """The fault bites: the next window is committed, and its offsets are the last one's."""
    stream = make_stream(1)
    with one_node.worker(stream, BUG="never_rebuilt", **IMPATIENT) as worker:
        error = late_offsets(stream, proxy, worker)
    assert error == KafkaError.NO_ERROR
    assert stream.committed() == {0: 100}
    row.bit(proxy.counted["held"])

    repeated(stream, row)


def late_offsets(stream: Stream, proxy: Proxy, worker: Worker) -> int:
    """Deliver the offsets of window 1 into window 2, have that committed, return the answer."""
    held = proxy.hold(ApiKey.TXN_OFFSET_COMMIT)
    stream.produce_comments(range(100))
    held.wait()
    worker.wait_for("window")
    with a_window_up_to(ApiKey.END_TXN, stream, proxy, range(100, 200)):
        answer = held.deliver()
    worker.wait_for("window", times=2)
    worker.process.kill()
    return offset_commit_error(answer)


@pytest.mark.row("N4")
def test_where_a_log_begins_is_told_late_and_nothing_is_judged_twice(
    row: Row, one_node: Cluster, proxy: Proxy, make_stream: MakeStream
) -> None:
    """The partition was lost meanwhile, judged by another worker, and given back.

    A worker that leaves it to the client (OFFSET_BEGINNING) judges all of it again.
    """
    stream = make_stream(1)
    kept = proxy.keep_response(ApiKey.LIST_OFFSETS)
    with one_node.worker(stream) as worker:
        kept.wait()
        worker.wait_for("partitions assigned")
        worker.send(signal.SIGSTOP)
        worker.wait_until_stopped()
        with one_node.worker(stream, "1") as other:
            stream.produce_comments(range(100))
            stream.wait_until_judged()
            worker.send(signal.SIGCONT)
            worker.wait_for("partitions lost")
            assert other.stop() == 0
        eventually(lambda: worker.owned() == {0}, stream.logs)
        kept.deliver()
        stream.produce_comments(range(100, 200))
        stream.wait_until_judged()
        assert worker.stop() == 0

    row.judged(stream.check())
    row.bit(proxy.counted["answer kept back"])


# -- N5: answers that are lost


UNHEARD: Final = [ApiKey.END_TXN, ApiKey.TXN_OFFSET_COMMIT, ApiKey.INIT_PRODUCER_ID]


@pytest.mark.row("N5")
@pytest.mark.parametrize("key", UNHEARD)
def test_what_was_done_and_not_heard_of_is_not_done_twice(
    key: ApiKey, row: Row, one_node: Cluster, proxy: Proxy, make_stream: MakeStream
) -> None:
    """The client asks again, and the broker knows it; the producer is rebuilt all the same."""
    stream = make_stream(2)
    stream.watch()
    proxy.drop_response(ApiKey.INIT_PRODUCER_ID)  # of its start
    with one_node.worker(stream) as worker:
        worker.wait_for("partitions assigned")
        with comments_all_the_while(stream, most=100_000):
            for _ in range(3):
                drop_one(key, proxy, stream)
                pause_after(key.name, worker)
        row.bit(proxy.counted["response dropped"])
        stream.wait_until_judged()
        assert worker.stop() == 0
        assert len(worker.events("producer rebuilt")) >= 3

    row.judged(stream.check())


@pytest.mark.slow_faults
@pytest.mark.row("N5")
@pytest.mark.parametrize("key", UNHEARD)
def test_an_answer_that_never_comes_over_a_connection_that_stands_is_not_waited_for(
    key: ApiKey, row: Row, one_node: Cluster, proxy: Proxy, make_stream: MakeStream
) -> None:
    """The client's own time-out is all that ends the wait; what was done is not done twice."""
    stream = make_stream(2)
    stream.watch()
    with one_node.worker(stream, **IMPATIENT) as worker:
        worker.wait_for("partitions assigned")
        with comments_all_the_while(stream, most=100_000):
            worker.wait_for("window")
            for number in range(1, 4):
                unheard = proxy.keep_response(key)  # for ever
                if key is ApiKey.INIT_PRODUCER_ID:
                    proxy.cut()  # else nobody would ask
                unheard.wait()
                worker.wait_for("producer rebuilt", times=number)
                pause_after(key.name, worker)
        row.bit(proxy.counted["answer kept back"])
        stream.wait_until_judged()
        assert worker.stop() == 0

    row.judged(stream.check())


def drop_one(key: ApiKey, proxy: Proxy, stream: Stream) -> None:
    """Have the answer to one request of a kind dropped."""
    before = proxy.counted["response dropped"]
    proxy.drop_response(key)
    if key is ApiKey.INIT_PRODUCER_ID:
        proxy.cut()  # else nobody would ask
    eventually(lambda: proxy.counted["response dropped"] > before, stream.logs)


@pytest.mark.row("N5")
def test_a_commit_of_which_nothing_is_heard_is_never_published_again(
    row: Row, one_node: Cluster, proxy: Proxy, make_stream: MakeStream
) -> None:
    """Told to end, the worker says that the outcome is unknown; a successor starts behind it."""
    stream = make_stream(1)
    stream.watch()
    with one_node.worker(stream, TIDEGATE_PUBLISH__DRAIN_S=3) as worker:
        worker.wait_for("partitions assigned")
        proxy.drop_response(ApiKey.END_TXN, times=1_000)
        stream.produce_comments(range(500))
        eventually(lambda: stream.committed() == {0: 100}, stream.logs)
        assert worker.stop() == 1
        assert "whether the window was committed is unknown" in worker.said
    row.bit(proxy.counted["response dropped"])
    proxy.heal()

    finished(stream, row)


def finished(stream: Stream, row: Row) -> None:
    """Have a successor judge the rest, and find all in good order."""
    with stream.worker() as successor:
        successor.wait_for("partitions assigned")
        stream.wait_until_judged()
        assert successor.stop() == 0
    row.judged(stream.check())


def repeated(stream: Stream, row: Row) -> None:
    """Have a successor judge the rest: verdicts are repeated under their ids, and none is lost."""
    with stream.worker() as successor:
        successor.wait_for("partitions assigned")
        stream.wait_until_judged()
        assert successor.stop() == 0
    outcomes = stream.outcomes()
    broken = " ".join(stream.broken(outcomes))
    assert "I1 judged twice" in broken
    assert "I2 an id twice" in broken
    row.judged(stream.check(repeats=True))
