"""Row B1, the worst of it: a broker that calls a transaction complete, and leaves it open.

After a hard restart a lone broker loads its transactions before it takes connections, its own too.
One whose end was decided waits for markers to be written. Then the controller fences the broker
that was, no partition has a leader for a moment, and Kafka 4.3.1 takes them for deleted. If it has
the time to note that the transaction is complete before it stops to lead, it stays open: in some
runs. The proxy, over which the broker speaks to itself, lets no marker through before the kill.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.cluster import Cluster, Node, cluster_of
from faults.proxy import ApiKey
from faults.report import Row
from rig.stream import Stream, comments_all_the_while, eventually

pytestmark = [pytest.mark.broker, pytest.mark.slow_faults]

MakeStream = Callable[[int], Stream]

MOST_KILLS = 8

# How long the group waits for a member, longer or shorter than the broker is away.
PROTOCOLS = {
    "lost": {},
    "kept": {
        "TIDEGATE_KAFKA__GROUP_PROTOCOL": "classic",
        "TIDEGATE_KAFKA__CLIENT__SESSION_TIMEOUT_MS": 120_000,
    },
}


@pytest.fixture(scope="module")
def talking_to_itself() -> Iterator[Cluster]:
    """Give one broker that speaks to itself over the proxy."""
    with cluster_of(1, between="PROXIED") as cluster:
        yield cluster


@pytest.fixture
def make_stream(talking_to_itself: Cluster, row: Row, tmp_path: Path) -> MakeStream:
    """Give a maker of streams on it."""
    return talking_to_itself.maker_of_streams(row, tmp_path)


@pytest.mark.timeout(600)
@pytest.mark.row("B1")
@pytest.mark.parametrize("partitions", PROTOCOLS)
def test_b1_a_transaction_that_a_broker_left_open_is_ended(
    partitions: str, row: Row, talking_to_itself: Cluster, make_stream: MakeStream
) -> None:
    """By the same worker, whether it has lost its partitions meanwhile or not."""
    stream, node = make_stream(2), talking_to_itself.node
    stream.watch()
    with talking_to_itself.worker(stream, **PROTOCOLS[partitions]) as worker:
        worker.wait_for("partitions assigned")
        for _ in range(MOST_KILLS):
            with comments_all_the_while(stream, most=20_000):
                held = len(worker.events("window"))
                worker.wait_for("window", times=held + 2)
                kill_before_a_marker(node)
                node.start()
                node.wait_until_it_answers()
                row.bit()
                held = len(worker.events("window"))
                worker.wait_for("window", times=held + 1)
            if worker.events("what a broker may have left open is aborted"):
                break
        stream.wait_until_judged()
        assert worker.stop() == 0

    ends = worker.events("what a broker may have left open is aborted")
    assert ends, f"the broker has ended all that was open, {MOST_KILLS} times"
    assert ends[0]["partitions"] == (2 if partitions == "kept" else 0)
    row.judged(stream.check())


def kill_before_a_marker(node: Node) -> None:
    """Kill a broker when it has decided the end of a transaction, and has written it nowhere."""
    with node.proxy.without({ApiKey.WRITE_TXN_MARKERS}):
        before = node.proxy.counted["swallowed"]
        eventually(lambda: node.proxy.counted["swallowed"] > before)
        node.kill()
