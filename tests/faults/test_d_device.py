"""D1 to D3: a device whose memory is full, that broke, or that is slow or hangs.

The stub raises what a real engine raises, behind the worker's own scorer; the halves that need a
GPU are in tests/worker/test_gpu_faults.py.
"""

from collections.abc import Callable
from contextlib import ExitStack
from signal import SIGKILL
from time import monotonic

import pytest

from faults.report import Row
from rig.checker import payload
from rig.stream import Stream, eventually
from worker.scoring.crash_record import CONDEMNED_FROM

pytestmark = pytest.mark.broker

MakeStream = Callable[[int], Stream]

HALVED = "budget halved: the device ran out of memory"
LIVENESS_S = 15
AGE = "tidegate_oldest_unjudged_age_seconds"
LIMIT_S = 20


def finish(row: Row, stream: Stream) -> None:
    """Let a successor judge what is left, and hold it all against what came in."""
    with stream.worker() as successor:
        stream.wait_until_judged()
        assert successor.stop() == 0
    row.judged(stream.check())


@pytest.mark.row("D1")
def test_d1_memory_that_is_full_halves_the_budget_and_loses_nothing(
    row: Row, make_stream: MakeStream
) -> None:
    """Once, at some micro-batch; or always, above what the device can hold."""
    once, small = make_stream(2), make_stream(2)
    for stream in (once, small):
        stream.produce_comments(range(5_000))
    with (
        once.worker(OOM_AT="micro_batch", OOM_AFTER=row.random.randint(1, 40)) as one,
        small.worker(MEMORY_TOKENS=300) as other,
    ):
        for stream, worker in ((once, one), (small, other)):
            stream.wait_until_judged()
            assert worker.stop() == 0
            row.bit(len(worker.events(HALVED)))

        assert [event["budget"] for event in one.events(HALVED)] == [2_048]
        assert [event["budget"] for event in other.events(HALVED)] == [2_048, 1_024, 512, 256]
    for stream in (once, small):
        outcomes = stream.check()
        row.judged(outcomes)
        assert not outcomes.dead_letters


@pytest.mark.row("D1")
def test_d1_a_comment_that_does_not_fit_even_alone_is_held(
    row: Row, make_stream: MakeStream
) -> None:
    """It is a dead letter with a held verdict; the comments beside it are scored."""
    stream = make_stream(1)
    long = " ".join(["word"] * 100)
    stream.produce_comments(range(500))
    stream.produce(
        (b"l%d" % n, b'{"id": "l%d", "text": "%s"}' % (n, long.encode()), []) for n in range(3)
    )
    stream.produce_comments(range(500, 1_000))
    with stream.worker(MEMORY_TOKENS=64) as worker:
        stream.wait_until_judged()
        assert worker.stop() == 0

    outcomes = stream.check()
    row.judged(outcomes)
    row.bit(len(outcomes.dead_letters))
    held = [v for v in map(payload, outcomes.verdicts) if v["status"] == "held"]
    assert [v["comment_id"] for v in held] == ["l0", "l1", "l2"]
    assert {dict(d.headers)["tidegate.reason"] for d in outcomes.dead_letters} == {b"not_scorable"}


@pytest.mark.slow_faults
@pytest.mark.row("D1")
def test_d1_a_device_without_any_memory_stops_the_worker(row: Row, make_stream: MakeStream) -> None:
    """Dead letters without end would be comments that nobody moderates: the breaker opens."""
    stream = make_stream(1)
    stream.produce_comments(range(2_000))
    with stream.worker(MEMORY_TOKENS=1, TIDEGATE_BREAKER__RECORDS=500) as worker:
        assert worker.ended() == 1
        assert "could not be judged" in worker.said
    dead = stream.read(stream.topics.dead_letters)
    assert len(dead) == sum(stream.committed().values()) < 1_000
    row.bit()

    finish(row, stream)


@pytest.mark.row("D2")
def test_d2_a_device_that_broke_ends_the_process_and_condemns_nobody(
    row: Row, make_stream: MakeStream
) -> None:
    """After a sticky error every later call fails: to go on would dead-letter the innocent."""
    streams = [make_stream(1) for _ in range(3)]
    with ExitStack() as stack:
        for stream in streams:
            stream.produce_comments(range(2_000))
            after = row.random.randint(1, 15)
            stack.enter_context(stream.worker(BREAK_AT="micro_batch", BREAK_AFTER=after))
        for stream in streams:
            start = monotonic()
            assert stream.workers[0].ended() == 1
            row.measured(end_s=monotonic() - start)
            assert "AcceleratorError" in stream.workers[0].said
            row.bit()

    for stream in streams:
        finish(row, stream)
        assert stream.read(stream.topics.dead_letters) == []


@pytest.mark.row("D2")
def test_d2_a_comment_over_which_the_engine_crashes_is_found_and_held(
    row: Row, make_stream: MakeStream
) -> None:
    """By processes that remember what was on the device when the one before ended; no other is."""
    stream = make_stream(2)
    poison = "a text over which the engine crashes"
    stream.produce_comments(range(200))
    value = b'{"id": "poison", "text": "%s"}' % poison.encode()
    stream.produce([(b"poison", value, [])])
    stream.produce_comments(range(200, 400))
    for _ in range(CONDEMNED_FROM):
        with stream.worker(POISON=poison) as worker:
            assert worker.ended() == -SIGKILL
            row.bit()
    with stream.worker(POISON=poison) as worker:
        stream.wait_until_judged()
        assert worker.stop() == 0

    scored_alone = [bool(each.events("comments are scored alone")) for each in stream.workers]
    assert scored_alone == [False, False, True, True, False]
    row.judged(stream.check())
    [letter] = stream.read(stream.topics.dead_letters)
    assert (letter.key, letter.value) == (b"poison", value)
    assert dict(letter.headers)["tidegate.reason"] == b"not_scorable"


@pytest.mark.row("D3")
def test_d3_a_slow_device_keeps_its_partitions_and_a_hung_one_fails_liveness_and_ends(
    row: Row, make_stream: MakeStream
) -> None:
    """Longer than `max.poll.interval.ms` on a window: lag grows, and no rebalance comes of it."""
    slow, hung = make_stream(2), make_stream(2)
    settings = {
        "TIDEGATE_INTAKE__MAX_POLL_INTERVAL_S": 6,
        "TIDEGATE_HEALTH__STUCK_AFTER_S": LIVENESS_S,
        "TIDEGATE_PUBLISH__REVOKE_DEADLINE_S": 5,
        "TIDEGATE_PUBLISH__TRANSACTION_TIMEOUT_S": 8,
        "TIDEGATE_SCORING__TIME_LIMIT_S": LIMIT_S,
    }
    for stream in (slow, hung):
        stream.produce_comments(range(3_000))
    stall = {"STALL_AT": "micro_batch", "STALL_AFTER": 3, "STALL_S": 9}
    with (
        slow.worker(**stall, **settings) as one,
        hung.worker(HANG_AT="micro_batch", HANG_AFTER=3, **settings) as other,
    ):
        one.wait_for("window", times=2)
        eventually(lambda: one.figure("tidegate_consumer_lag") > 0, slow.logs, tick_s=0.5)
        row.measured(lag=one.figure("tidegate_consumer_lag"))
        eventually(lambda: one.figure(AGE) > 5, slow.logs, tick_s=0.5)  # what alerts rest on
        slow.wait_until_judged()
        eventually(lambda: one.figure(AGE) == 0, slow.logs, tick_s=0.5)
        eventually(lambda: other.probe("/livez")[0] == 503, hung.logs, tick_s=0.5)
        assert f"thread device has not turned for {LIVENESS_S} s" in other.probe("/livez")[1]
        for worker in (one, other):
            assert len(worker.events("partitions assigned")) == 1
            assert worker.owned() == {0, 1}
            row.bit()
        assert one.probe("/livez")[0] == 200
        assert one.stop() == 0
        assert other.ended() == 1
        assert f"Timeout (0:00:{LIMIT_S})" in other.said

    row.judged(slow.check())
    finish(row, hung)


@pytest.mark.row("D3")
def test_d3_a_hung_device_is_remembered_by_whoever_comes_next(
    row: Row, make_stream: MakeStream
) -> None:
    """Liveness has the worker told to end long before the time limit: that, too, is an end."""
    stream = make_stream(1)
    stream.produce_comments(range(300))
    with stream.worker(HANG_AT="micro_batch", TIDEGATE_PUBLISH__DRAIN_S=1) as hung:
        hung.wait_for("on the device")
        assert hung.stop() == 1
        row.bit()

    finish(row, stream)
    (said,) = stream.workers[-1].events("processes ended over comments")
    assert (said["first_offset"], said["ends"]) == (0, 1)
