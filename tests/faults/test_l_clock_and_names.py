"""L1: a clock that is an hour off, and names that nobody resolves any more.

Both are done to one process, by a library that its linker loads first; the broker's clock and
that of the records' publisher are the true ones.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from faults.cluster import Cluster
from faults.report import Row
from rig.stream import Stream, Worker, comments_all_the_while, eventually

pytestmark = [pytest.mark.broker, pytest.mark.row("L1")]

HOUR_S = 3_600


def test_l1_a_clock_that_is_an_hour_off_changes_no_outcome(
    row: Row, elsewhere: Path, make_stream: Callable[[int], Stream]
) -> None:
    """One worker is an hour ahead, then one an hour behind, the true one beside them."""
    stream = make_stream(4)
    with comments_all_the_while(stream, most=100_000, at_a_time=50), stream.worker("0") as true:
        true.wait_for("window")
        for hours in (1, -1):
            clock = {"LD_PRELOAD": elsewhere, "CLOCK_OFFSET_S": hours * HOUR_S}
            with stream.worker(f"{hours}", **clock) as other:
                other.wait_for("window", times=5)
                said, truth = other.events("window")[-1], true.events("window")[-1]
                assert said["timestamp"][:13] != truth["timestamp"][:13], "the clock is not off"
                assert other.probe("/livez")[0] == 200
                assert other.stop() == 0
                row.bit()
    with stream.worker("0") as last:
        stream.wait_until_judged()
        assert last.stop() == 0

    row.judged(stream.check())
    stream.prove()


@pytest.mark.slow_faults
def test_l1_without_names_a_worker_waits_and_comes_back(
    row: Row, elsewhere: Path, one_node: Cluster, tmp_path: Path
) -> None:
    """Its connections are cut meanwhile; it stays alive, is not ready, and goes on afterwards."""
    gone = tmp_path / "gone"
    stream = one_node.maker_of_streams(row, tmp_path)(2)
    watch = stream.watch()
    names = {"LD_PRELOAD": elsewhere, "DNS_GONE": gone}
    with (
        comments_all_the_while(stream, most=100_000),
        one_node.worker(stream, SCORE_S=0.02, **names) as worker,
    ):
        worker.wait_for("window", times=3)
        gone.touch()
        row.bit(one_node.node.proxy.cut())
        eventually(lambda: not_ready(worker), stream.logs, tick_s=0.25)
        assert worker.probe("/livez")[0] == 200
        before = len(worker.events("window"))
        gone.unlink()
        worker.wait_for("window", times=before + 3)
        eventually(lambda: worker.probe("/readyz")[0] == 200, stream.logs, tick_s=0.25)
        assert worker.stop() == 0
    with one_node.worker(stream) as last:
        stream.wait_until_judged()
        assert last.stop() == 0

    row.judged(stream.check())
    watch.close()


@pytest.mark.slow_faults
def test_l1_a_name_that_cannot_be_resolved_is_said_at_the_start(
    row: Row, elsewhere: Path, make_stream: Callable[[int], Stream], tmp_path: Path
) -> None:
    """The worker ends and says where it looked; nothing was committed."""
    gone = tmp_path / "gone"
    gone.touch()
    stream = make_stream(1)
    stream.produce_comments(range(100))
    with stream.worker(LD_PRELOAD=elsewhere, DNS_GONE=gone) as worker:
        assert worker.ended() == 1
        assert f"no broker answered at {stream.servers}" in worker.said
        assert "resolve" in worker.said
        row.bit()
    assert stream.committed() == {0: 0}


def not_ready(worker: Worker) -> bool:
    """Say whether a load balancer would leave it out."""
    return worker.probe("/readyz")[0] == 503
