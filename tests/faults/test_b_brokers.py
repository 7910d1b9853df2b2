"""Rows B1 to B4: brokers that stop, move, fall short of replicas, or lose disk and topics."""

import resource
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Final

import psutil
import pytest

from faults.cluster import OFFSETS, TRANSACTIONS, Cluster, Node
from faults.crew import STEADY, Crew
from faults.report import Row
from rig.stream import PATIENCE_S, Stream, Worker, comments_all_the_while, eventually

pytestmark = pytest.mark.broker

MakeStream = Callable[[int], Stream]

READY: Final = 200
NOT_READY: Final = 503

MINUTE_S: Final = 60.0
UNKNOWN: Final = (
    "by itself: 1: commit_transaction: _FENCED: whether the window was committed is unknown"
)
FLAT_MB: Final = 40.0  # what a client may take to keep on trying


ROLES: Final[dict[str, Callable[[Cluster, Stream], Node]]] = {
    "transactions": lambda c, s: c.coordinator_of(TRANSACTIONS, f"{s.name}-0"),
    "group": lambda c, s: c.coordinator_of(OFFSETS, s.name),
    "verdicts": lambda c, s: c.leader_of(s.topics.verdicts, 0),
}

STOPS: Final = {"clean": Node.stop, "hard": Node.kill}


@pytest.fixture
def make_stream(one_node: Cluster, row: Row, tmp_path: Path) -> MakeStream:
    """Give a maker of streams of so many partitions on one node, called like the test."""
    one_node.start()  # what the test before left stopped
    return one_node.maker_of_streams(row, tmp_path)


def answers(worker: Worker, path: str, status: int) -> Callable[[], bool]:
    """Return a question: whether the worker's health port answers so."""
    return lambda: worker.probe(path)[0] == status


def windows(worker: Worker) -> int:
    """Return how many windows it has committed."""
    return len(worker.events("window"))


# -- B1: restarts


@pytest.mark.row("B1")
@pytest.mark.parametrize("how", [pytest.param("clean", marks=pytest.mark.slow_faults), "hard"])
def test_b1_a_lone_broker_that_restarts_is_waited_for(
    how: str, row: Row, one_node: Cluster, make_stream: MakeStream
) -> None:
    """Windows are held and retried, not ready and alive meanwhile, by the same worker."""
    stream, node = make_stream(2), one_node.node
    stream.watch()
    with one_node.worker(stream) as worker:
        worker.wait_for("partitions assigned")
        with comments_all_the_while(stream, most=20_000):
            worker.wait_for("window", times=2)
            STOPS[how](node)
            eventually(answers(worker, "/readyz", NOT_READY), stream.logs)
            assert worker.probe("/livez") == (READY, "ok\n"), stream.logs()
            row.bit()
            held = windows(worker)
            node.start()
            node.wait_until_it_answers()
            start = monotonic()
            worker.wait_for("window", times=held + 1)
            row.measured(**{f"back_after_{how}_s": monotonic() - start})
            eventually(answers(worker, "/readyz", READY), lambda: worker.probe("/readyz")[1])
        stream.wait_until_judged()
        assert worker.stop() == 0

    row.judged(stream.check())


@pytest.mark.slow_faults
@pytest.mark.row("B1")
@pytest.mark.parametrize("how", STOPS)
def test_b1_each_of_three_brokers_restarts_in_turn(
    how: str, row: Row, three_nodes: Cluster, make_stream_on_three: MakeStream
) -> None:
    """The others take over; the worker needs a pause, and no restart."""
    stream = make_stream_on_three(3)
    stream.watch()
    with three_nodes.worker(stream) as worker:
        worker.wait_for("partitions assigned")
        with comments_all_the_while(stream, most=100_000):
            for node in three_nodes.nodes:
                STOPS[how](node)
                row.bit()
                goes_on(worker)
                brought_back(node, three_nodes, stream)
            goes_on(worker)
        stream.wait_until_judged()
        assert worker.stop() == 0
        row.measured(longest_pause_s=longest_pause_s(worker))

    row.judged(stream.check())


# -- B2: roles that move


@pytest.mark.slow_faults
@pytest.mark.row("B2")
@pytest.mark.parametrize("role", ROLES)
def test_b2_a_role_that_moves_is_followed(
    role: str, row: Row, three_nodes: Cluster, make_stream_on_three: MakeStream
) -> None:
    """The node that has it is killed, and later elected again: whoever has it is found."""
    stream = make_stream_on_three(3)
    three_nodes.elect_preferred_leaders()
    stream.watch()
    with three_nodes.worker(stream) as worker:
        worker.wait_for("partitions assigned")
        with comments_all_the_while(stream, most=100_000):
            worker.wait_for("window", times=2)
            node = ROLES[role](three_nodes, stream)
            node.kill()
            eventually(lambda: ROLES[role](three_nodes, stream) is not node)
            row.bit()
            goes_on(worker)
            brought_back(node, three_nodes, stream)
            three_nodes.elect_preferred_leaders()
            eventually(lambda: ROLES[role](three_nodes, stream) is node)
            row.bit()
            goes_on(worker)
        stream.wait_until_judged()
        assert worker.stop() == 0
        row.measured(longest_pause_s=longest_pause_s(worker))

    row.judged(stream.check())


# -- B3: too few replicas


@pytest.mark.slow_faults
@pytest.mark.timeout(600)
@pytest.mark.row("B3")
@pytest.mark.parametrize("away", [1, 2])
def test_b3_too_few_replicas_for_a_minute_are_waited_for(
    away: int, row: Row, three_nodes: Cluster, make_stream_on_three: MakeStream
) -> None:
    """Not ready and alive, memory flat, nothing lost.

    With two away there is no quorum of controllers either; with one, three must be in sync.
    """
    stream = make_stream_on_three(3)
    stream.watch()
    if away == 1:
        stream.alter(stream.topics.verdicts, "min.insync.replicas", "3")
    with three_nodes.worker(stream) as worker:
        worker.wait_for("partitions assigned")
        with comments_all_the_while(stream, most=4_000, at_a_time=2):
            worker.wait_for("window", times=20)
            for node in three_nodes.nodes[:away]:
                node.kill()
            eventually(answers(worker, "/readyz", NOT_READY), stream.logs)
            row.bit(away)
            before, held = megabytes(worker), windows(worker)
            Event().wait(MINUTE_S)
            assert windows(worker) <= held + 1  # one may have been committed and not logged yet
            assert worker.probe("/livez") == (READY, "ok\n"), stream.logs()
            row.measured(grown_mb=megabytes(worker) - before)
            assert megabytes(worker) - before < FLAT_MB
            three_nodes.start()
            goes_on(worker)
        stream.wait_until_judged()
        eventually(answers(worker, "/readyz", READY), lambda: worker.probe("/readyz")[1])
        assert worker.stop() == 0

    row.judged(stream.check())


def brought_back(node: Node, cluster: Cluster, stream: Stream) -> None:
    """Start a node again, and wait until it has caught up."""
    node.start()
    node.wait_until_it_answers()
    cluster.wait_until_in_sync(topics_of(stream))


def goes_on(worker: Worker) -> None:
    """Wait until it has committed windows from now on; the first may only be logged now."""
    worker.wait_for("window", times=windows(worker) + 3)


def topics_of(stream: Stream) -> list[str]:
    """Return what must be in sync before the next node may go."""
    topics = stream.topics
    ours = [topics.comments, topics.verdicts, topics.flags, topics.dead_letters]
    return [*ours, TRANSACTIONS, OFFSETS]


def longest_pause_s(worker: Worker) -> float:
    """Return the longest time between two windows that were committed."""
    times = [datetime.fromisoformat(window["timestamp"]) for window in worker.events("window")]
    return max((b - a).total_seconds() for a, b in pairwise(times))


def megabytes(worker: Worker) -> float:
    """Return its resident memory."""
    return float(psutil.Process(worker.process.pid).memory_info().rss / 2**20)


# -- B4: no room, no topic


@pytest.mark.row("B4")
def test_b4_a_disk_that_takes_no_more_loses_nothing(
    row: Row, one_node: Cluster, make_stream: MakeStream
) -> None:
    """The broker gives up; the worker holds its windows until there is one with room again.

    A commit that was under way may be answered "fenced" then, after its transaction's time: that
    worker ends, and its successor goes on.
    """
    stream, node = make_stream(2), one_node.node
    stream.watch()
    with Crew(lambda slot: one_node.worker(stream, slot), 1) as crew:
        worker = crew.workers[STEADY]
        worker.wait_for("partitions assigned")
        stream.produce_comments(range(500))
        worker.wait_for("window", times=2)
        fill_disk(node)
        with comments_all_the_while(stream, most=20_000):
            eventually(answers(worker, "/readyz", NOT_READY), stream.logs)
            row.bit()
            node.stop()
            node.start()
            node.wait_until_it_answers()
        stream.wait_until_judged(meanwhile=crew.replace_the_dead)
        crew.stop()
    assert set(crew.ends) <= {"told to end: 0", UNKNOWN}
    assert crew.ends[UNKNOWN] <= 1

    row.judged(stream.check())


def fill_disk(node: Node) -> None:
    """Let no file of a node grow any more, until it is started again."""
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (1_000, 1_000))


@pytest.mark.row("B4")
@pytest.mark.parametrize(
    "name", [pytest.param("comments", marks=pytest.mark.slow_faults), "verdicts"]
)
def test_b4_a_topic_that_is_deleted_ends_the_worker_and_is_named(
    name: str, row: Row, one_node: Cluster, make_stream: MakeStream
) -> None:
    """What waits for it would wait for ever."""
    stream = make_stream(2)
    topic = getattr(stream.topics, name)
    with one_node.worker(stream, TIDEGATE_PUBLISH__TRANSACTION_TIMEOUT_S=5) as worker:
        worker.wait_for("partitions assigned")
        stream.produce_comments(range(500))
        stream.wait_until_judged()
        row.judged(stream.check())
        stream.admin.delete_topics([topic])[topic].result(PATIENCE_S)
        row.bit()
        if name != "comments":
            stream.produce_comments(range(500))
        assert worker.ended() == 1
        last_words = worker.said.partition("error: ")[2]
    assert topic in last_words
