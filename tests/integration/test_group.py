"""How a worker joins its group, and what becomes of a dead member's partitions.

Workers that come and go under load are rows G1 to G4 of the fault matrix, in tests/faults.
"""

from collections.abc import Callable, Iterator

import pytest

import deploy.broker
from deploy.broker import local_broker
from faults.protocols import PROTOCOLS
from rig.stream import Stream, Worker, comments_all_the_while, eventually

pytestmark = pytest.mark.broker

CLASSIC_ONLY = "group.coordinator.rebalance.protocols=classic\n"


@pytest.fixture
def classic_stream(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stream]:
    """Give a stream on a broker that was told to speak the classic protocol only."""
    properties = deploy.broker.SERVER_PROPERTIES + CLASSIC_ONLY
    monkeypatch.setattr(deploy.broker, "SERVER_PROPERTIES", properties)
    with local_broker() as node:
        folder = tmp_path_factory.mktemp("classic")
        yield Stream(node.bootstrap_servers, "classic-only", 2, folder).create()


def test_auto_falls_back_where_the_broker_is_classic(classic_stream: Stream) -> None:
    """A broker without KIP-848 is served by cooperative-sticky, without a word from a person."""
    classic_stream.produce_comments(range(500))
    with classic_stream.worker(TIDEGATE_KAFKA__GROUP_PROTOCOL="auto") as worker:
        classic_stream.wait_until_judged()
        assert worker.stop() == 0

        assert [event["chosen"] for event in worker.events("group protocol")] == ["classic"]
    classic_stream.check()


def test_a_killed_members_partitions_pass_to_the_other(
    make_stream: Callable[[int], Stream],
) -> None:
    """Its open transaction is in nobody's way for longer than its timeout."""
    stream = make_stream(2)
    timeout = {"TIDEGATE_PUBLISH__TRANSACTION_TIMEOUT_S": 5}
    with (
        stream.worker("0", **timeout) as other,
        stream.worker("1", KILL_AT="offsets_sent", KILL_AFTER=2, **timeout) as doomed,
    ):
        other.wait_for("partitions assigned")
        doomed.wait_for("partitions assigned")
        with comments_all_the_while(stream, most=5_000):
            eventually(lambda: doomed.process.poll() is not None)
            other.wait_for("partitions assigned", times=2)
        stream.wait_until_judged()
        assert other.stop() == 0

    stream.check()


def is_ready(worker: Worker) -> bool:
    """Ask its probe."""
    return worker.probe("/readyz")[0] == 200


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_a_worker_too_many_is_ready_to_take_over(
    protocol: str, make_stream: Callable[[int], Stream]
) -> None:
    """It has no partition to be assigned; a rolling deploy waits for each pod to be ready."""
    stream = make_stream(1)
    with (
        stream.worker("one", **PROTOCOLS[protocol]) as one,
        stream.worker("too-many", **PROTOCOLS[protocol]) as other,
    ):
        for worker in (one, other):
            worker.wait_for("worker started")
        eventually(lambda: is_ready(one) and is_ready(other), stream.logs)
        spare, owner = sorted((one, other), key=lambda worker: len(worker.owned()))
        assert (spare.owned(), owner.owned()) == (set(), {0})
        assert owner.stop() == 0
        stream.produce_comments(range(50))
        stream.wait_until_judged()
        assert spare.stop() == 0

    stream.check()
