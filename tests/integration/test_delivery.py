"""Exactly once, and at least once, through kills at every point of a window's way."""

import signal
from collections.abc import Callable

import pytest

from rig.checker import source_of
from rig.stream import Stream, Worker, eventually
from rig.stub_worker import POINTS
from worker.window import Record

pytestmark = pytest.mark.broker

IN_A_TRANSACTION = ("half_produced", "offsets_sent")


def judged_per_partition(verdicts: list[Record]) -> dict[int, int]:
    """Return the offset after the last comment that has a verdict, per partition."""
    last: dict[int, int] = {}
    for number, offset in map(source_of, verdicts):
        last[number] = max(offset + 1, last.get(number, 0))
    return last


def records_in(worker: Worker, event: str) -> int:
    """Return how many records a worker's log lines of one kind speak of."""
    return sum(found["records"] for found in worker.events(event))


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_neither_loses_nor_repeats(
    point: str, make_stream: Callable[[int], Stream]
) -> None:
    """The successor under the same slot goes on where the last committed window ended."""
    stream = make_stream(2)
    stream.produce_comments(range(1_000))
    with stream.worker(KILL_AT=point, KILL_AFTER=1 if point == "half_produced" else 3) as killed:
        assert killed.ended() == -signal.SIGKILL

    with stream.worker() as successor:
        stream.wait_until_judged()
        assert successor.stop() == 0

    stream.check()
    if point in IN_A_TRANSACTION:  # the fault bit: a transaction was left open, and aborted
        everything = stream.read(stream.topics.verdicts, committed=False)
        assert len(everything) > len(stream.read(stream.topics.verdicts))


def test_a_kill_at_least_once_repeats_under_the_same_id(
    make_stream: Callable[[int], Stream],
) -> None:
    """Nothing is lost; a consumer that drops known ids has each verdict once."""
    stream = make_stream(2)
    delivery = {"TIDEGATE_PUBLISH__DELIVERY": "at-least-once"}
    stream.produce_comments(range(1_000))
    with stream.worker(KILL_AT="scored", KILL_AFTER=4, **delivery) as killed:
        assert killed.ended() == -signal.SIGKILL

    with stream.worker(**delivery) as successor:
        stream.wait_until_judged()
        assert successor.stop() == 0

    stream.check(repeats=True)


@pytest.mark.parametrize("delivery", ["exactly-once", "at-least-once"])
def test_sigterm_under_load_leaves_nothing_to_judge_again(
    delivery: str, make_stream: Callable[[int], Stream]
) -> None:
    """The windows in flight are committed, the exit is 0 in 10 s, the successor reads on."""
    stream = make_stream(2)
    settings = {"TIDEGATE_PUBLISH__DELIVERY": delivery, "SCORE_S": 0.1}
    stream.produce_comments(range(2_000))
    with stream.worker(**settings) as worker:
        worker.wait_for("window", times=3)
        assert worker.stop(within_s=10) == 0
        assert records_in(worker, "scored") == records_in(worker, "window")
    committed, verdicts = stream.committed(), stream.read(stream.topics.verdicts)

    with stream.worker(TIDEGATE_PUBLISH__DELIVERY=delivery) as successor:
        stream.wait_until_judged()
        assert successor.stop() == 0

    assert len(verdicts) < 2_000, "the load was over before the signal"
    assert {n: o for n, o in committed.items() if o} == judged_per_partition(verdicts)
    stream.check()


def test_two_workers_under_one_slot_never_mix(make_stream: Callable[[int], Stream]) -> None:
    """They fence each other; one ends and says why, and no comment is judged twice."""
    stream = make_stream(2)
    settings = {"SCORE_S": 0.1, "TIDEGATE_INTAKE__MAX_MESSAGES": 20}
    stream.produce_comments(range(3_000))
    with stream.worker(**settings) as first:
        first.wait_for("window")
        with stream.worker(**settings) as second:
            both = (first, second)
            eventually(
                lambda: any(worker.process.poll() is not None for worker in both), stream.logs
            )
            ended = next(worker for worker in both if worker.process.poll() is not None)
    with stream.worker() as successor:
        stream.wait_until_judged()
        assert successor.stop() == 0

    assert ended.process.returncode == 1
    assert "TIDEGATE_SLOT" in ended.said or "whether the window was committed" in ended.said
    stream.check()
