"""P1 to P5: processes that are killed, stopped, ended, doubled, or lose a thread."""

import re
import signal
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from threading import Event
from time import monotonic, time

import pytest

from faults.protocols import PROTOCOLS
from faults.report import Row
from rig.points import POINTS
from rig.stream import Stream, Worker, comments_all_the_while, eventually

pytestmark = pytest.mark.broker

MakeStream = Callable[[int], Stream]

PROBE_S = 1.0

SAYS_WHY = "TIDEGATE_SLOT|whether the window was committed|FENCED_INSTANCE_ID"

IN_A_TRANSACTION = ("half_produced", "offsets_sent", "committing")

# Liveness at its shortest. A revocation must fit in, and a window that is being sent.
LIVENESS_S = 15
IMPATIENT = {
    "TIDEGATE_HEALTH__STUCK_AFTER_S": LIVENESS_S,
    "TIDEGATE_PUBLISH__REVOKE_DEADLINE_S": 5,
    "TIDEGATE_PUBLISH__TRANSACTION_TIMEOUT_S": 8,
    "TIDEGATE_PUBLISH__DRAIN_S": 2,
}


def records_in(worker: Worker, event: str) -> int:
    """Return how many records a worker's log lines of one kind speak of."""
    return sum(found["records"] for found in worker.events(event))


def finish(row: Row, *streams: Stream, **settings: object) -> None:
    """Let successors judge what is left, and hold it all against what came in."""
    with ExitStack() as stack:
        successors = [stack.enter_context(stream.worker(**settings)) for stream in streams]
        for stream, successor in zip(streams, successors, strict=True):
            stream.wait_until_judged()
            assert successor.stop() == 0
    for stream in streams:
        row.judged(stream.check())


@pytest.mark.row("P1")
def test_p1_a_kill_at_any_point_neither_loses_nor_repeats(
    row: Row, make_stream: MakeStream
) -> None:
    """The successor under the same slot goes on where the last committed window ended."""
    streams = {point: make_stream(1) for point in POINTS}
    with ExitStack() as stack:
        for point, stream in streams.items():
            stream.produce_comments(range(5_000))
            after = 1 if point == "half_produced" else row.random.randint(1, 9)
            stack.enter_context(stream.worker(KILL_AT=point, KILL_AFTER=after))
        for point, stream in streams.items():
            assert stream.workers[0].ended() == -signal.SIGKILL, point
            row.bit()

    finish(row, *streams.values())
    for point in IN_A_TRANSACTION:
        assert streams[point].aborted() > 0, f"{point}: no transaction was left open"


@pytest.mark.row("P1")
def test_p1_kills_at_any_time_neither_lose_nor_repeat(row: Row, make_stream: MakeStream) -> None:
    """One `kill -9` after another, each while windows are on their way; proven by `reconcile`."""
    stream, kills = make_stream(4), 4
    stream.produce_comments(range(40_000), keys=2_000)
    gaps = []
    for _ in range(kills):
        start = monotonic()
        with stream.worker(SCORE_S=0.02, TIDEGATE_INTAKE__MAX_MESSAGES=200) as worker:
            worker.wait_for("window", within_s=30)
            gaps.append(monotonic() - start)
            Event().wait(row.random.uniform(0, 0.3))
            assert worker.process.poll() is None
        row.bit()

    finish(row, stream, TIDEGATE_INTAKE__MAX_MESSAGES=1_000)
    row.measured(longest_gap_s=max(gaps))
    stream.prove()


MEMBERSHIPS: dict[str, dict[str, object]] = {
    "dynamic": {"TIDEGATE_KAFKA__GROUP_PROTOCOL": "consumer"},
    "static": {
        "TIDEGATE_KAFKA__GROUP_PROTOCOL": "classic",
        "TIDEGATE_KAFKA__CLIENT__GROUP_INSTANCE_ID": "slot-0",
        "TIDEGATE_KAFKA__CLIENT__SESSION_TIMEOUT_MS": 45_000,
    },
}


@pytest.mark.row("P1")
@pytest.mark.slow_faults
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("membership", MEMBERSHIPS)
def test_p1_the_gap_after_kill_9_is_measured(
    membership: str, row: Row, make_stream: MakeStream
) -> None:
    """From the successor's start to its first committed verdict, over fifty kills.

    A dynamic member's partitions move when the session of the dead one is over (2.5 s here, 45 s
    by default). A static member takes them over at once, whatever the session.
    """
    stream, kills = make_stream(2), 50
    stages: dict[str, list[float]] = {"start": [], "join": [], "first": [], "gap": []}
    with comments_all_the_while(stream, most=1_000_000):
        for number in range(kills + 1):
            begin = time()
            with stream.worker("0", **MEMBERSHIPS[membership]) as worker:
                worker.wait_for("window", within_s=90)
                started, assigned, window = (
                    said_at(worker, name)
                    for name in ("worker started", "partitions assigned", "window")
                )
                if number:  # the first has no predecessor
                    times = (started - begin, assigned - started, window - assigned, window - begin)
                    for stage, seconds in zip(stages.values(), times, strict=True):
                        stage.append(seconds)
                    row.bit()
                Event().wait(row.random.uniform(0, 0.5))
    for name, measured in stages.items():
        ranked = sorted(measured)
        row.measured(**{f"{name}_p50_s": ranked[kills // 2], f"{name}_p99_s": ranked[-1]})

    finish(row, stream, **MEMBERSHIPS[membership], TIDEGATE_INTAKE__MAX_MESSAGES=5_000)


def said_at(worker: Worker, name: str) -> float:
    """Return when a worker first logged an event, in seconds since 1970."""
    return datetime.fromisoformat(worker.events(name)[0]["timestamp"]).timestamp()


@pytest.mark.row("P1")
def test_p1_a_kill_at_least_once_repeats_under_the_same_id(
    row: Row, make_stream: MakeStream
) -> None:
    """Nothing is lost; a consumer that drops known ids has each verdict once."""
    stream = make_stream(2)
    delivery = {"TIDEGATE_PUBLISH__DELIVERY": "at-least-once"}
    stream.produce_comments(range(1_000))
    with stream.worker(KILL_AT="scored", KILL_AFTER=4, **delivery) as killed:
        assert killed.ended() == -signal.SIGKILL
        row.bit()

    with stream.worker(**delivery) as successor:
        stream.wait_until_judged()
        assert successor.stop() == 0
    row.judged(stream.check(repeats=True))


@pytest.mark.row("P2")
def test_p2_a_stop_shorter_than_everything_changes_nothing(
    row: Row, make_stream: MakeStream
) -> None:
    """Half a second of SIGSTOP, here and there: no rebalance, no abort, no producer rebuilt."""
    stream = make_stream(2)
    stream.produce_comments(range(5_000))
    with stream.worker(SCORE_S=0.05) as worker:
        worker.wait_for("window")
        for _ in range(3):
            Event().wait(row.random.uniform(0, 0.2))
            worker.send(signal.SIGSTOP)
            worker.wait_until_stopped()
            Event().wait(0.5)
            worker.send(signal.SIGCONT)
            row.bit()
        stream.wait_until_judged()
        assert worker.stop() == 0

        assert len(worker.events("partitions assigned")) == 1
        assert worker.events("partitions lost") == worker.events("producer rebuilt") == []
    row.judged(stream.check())
    assert stream.aborted() == 0


@pytest.mark.row("P2")
def test_p2_a_stop_longer_than_the_transaction_publishes_the_window_again(
    row: Row, make_stream: MakeStream
) -> None:
    """The broker ended the open transaction: a new producer publishes the window from memory.

    But if it was the commit that came too late, nobody can say what became of it: the worker
    ends, and its successor goes on from the committed offsets.
    """
    rebuilt, unknown = make_stream(2), make_stream(2)
    settings = {
        # The session is longer than the stop: only the transaction ends meanwhile.
        "TIDEGATE_KAFKA__GROUP_PROTOCOL": "classic",
        "TIDEGATE_KAFKA__CLIENT__SESSION_TIMEOUT_MS": 45_000,
        "TIDEGATE_PUBLISH__TRANSACTION_TIMEOUT_S": 5,
    }
    for stream in (rebuilt, unknown):
        stream.produce_comments(range(2_000))
    with (
        rebuilt.worker(STOP_AT="half_produced", **settings) as one,
        unknown.worker(STOP_AT="offsets_sent", STOP_AFTER=3, **settings) as other,
    ):
        for stream, worker in ((rebuilt, one), (unknown, other)):
            worker.wait_until_stopped()
            eventually(stream.no_transaction_is_open, lambda: "the broker ends no transaction")
            worker.send(signal.SIGCONT)
        rebuilt.wait_until_judged()
        assert one.stop() == 0
        assert other.ended() == 1

        assert len(one.events("producer rebuilt")) == 1
        assert "whether the window was committed is unknown" in other.said
        assert one.events("partitions lost") == other.events("partitions lost") == []
    row.judged(rebuilt.check())
    finish(row, unknown, **settings)
    for stream in (rebuilt, unknown):
        assert stream.aborted() > 0
        row.bit()


@pytest.mark.row("P2")
def test_p2_a_stop_longer_than_the_session_loses_the_partitions_and_commits_nothing_of_them(
    row: Row, make_stream: MakeStream
) -> None:
    """Another worker has judged them when the stopped one goes on: its windows are dropped."""
    stream = make_stream(2)
    timeout = {"TIDEGATE_PUBLISH__TRANSACTION_TIMEOUT_S": 5}
    with (
        stream.worker("0", STOP_AT="begun", STOP_AFTER=3, **timeout) as stopped,
        stream.worker("1", **timeout) as other,
    ):
        stopped.wait_for("partitions assigned")
        with comments_all_the_while(stream, most=10_000):
            stopped.wait_until_stopped()
            eventually(lambda: other.owned() == {0, 1}, stream.logs)
        stream.wait_until_judged()
        before = stream.committed()
        stopped.send(signal.SIGCONT)
        stopped.wait_for("partitions lost")
        assert stream.committed() == before, "committed from the old count"
        stream.produce_comments(range(2_000, 3_000))
        stream.wait_until_judged()
        assert (stopped.stop(), other.stop()) == (0, 0)
        row.bit()

    row.judged(stream.check())


STATIC: dict[str, object] = {
    **PROTOCOLS["classic"],
    "TIDEGATE_PUBLISH__TRANSACTION_TIMEOUT_S": 5,
}


@pytest.mark.row("P2")
def test_p2_a_static_member_stopped_for_longer_than_the_session_judges_nothing_again(
    row: Row, make_stream: MakeStream
) -> None:
    """Its partition is another's by then; what that one has judged stays judged once."""
    stream = make_stream(2)

    def static(slot: str) -> Worker:
        name = {"TIDEGATE_KAFKA__CLIENT__GROUP_INSTANCE_ID": f"slot-{slot}"}
        return stream.worker(slot, **STATIC, **name)

    with static("0") as stopped, static("1") as other:
        eventually(lambda: len(stopped.owned()) == len(other.owned()) == 1, stream.logs)
        stream.produce_comments(range(1_000))
        stream.wait_until_judged()
        stopped.send(signal.SIGSTOP)
        stopped.wait_until_stopped()
        eventually(lambda: other.owned() == {0, 1}, stream.logs)
        stream.produce_comments(range(1_000, 2_000))
        stream.wait_until_judged()
        stopped.send(signal.SIGCONT)
        stream.produce_comments(range(2_000, 3_000))
        stream.wait_until_judged()
        row.bit()

        ended = stopped.process.poll()
        assert ended in (None, 1), stopped.said[-2_000:]
        row.measured(ended_by_itself=int(ended is not None))
        assert other.stop() == 0
    stream.produce_comments(range(3_000, 3_100))
    finish(row, stream)


@pytest.mark.row("P3")
@pytest.mark.parametrize("delivery", ["exactly-once", "at-least-once"])
def test_p3_sigterm_under_load_leaves_nothing_to_judge_again(
    delivery: str, row: Row, make_stream: MakeStream
) -> None:
    """Windows in flight are committed, the exit is 0 in 10 s, the successor reads nothing twice."""
    stream = make_stream(2)
    settings = {"TIDEGATE_PUBLISH__DELIVERY": delivery}
    stream.produce_comments(range(3_000))
    with stream.worker(SCORE_S=0.1, **settings) as worker:
        worker.wait_for("window", times=row.random.randint(2, 6))
        start = monotonic()
        assert worker.stop(within_s=10) == 0
        row.measured(exit_s=monotonic() - start)
    judged = records_in(worker, "window")
    assert judged < 3_000, "the load was over before the signal"
    assert judged == records_in(worker, "scored") == sum(stream.committed().values())
    row.bit()

    with stream.worker(**settings) as successor:
        stream.wait_until_judged()
        assert successor.stop() == 0
        assert records_in(successor, "scored") == 3_000 - judged
    row.judged(stream.check())


@pytest.mark.row("P3")
@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_p3_sigterm_in_the_midst_of_a_rebalance_leaves_nothing_to_judge_again(
    protocol: str, row: Row, make_stream: MakeStream
) -> None:
    """A worker joins while the last window of one that was asked to end is on the device.

    The rebalance waits for the one that ends, and its window can be committed under the group's new
    generation alone.
    """
    stream = make_stream(2)
    stream.produce_comments(range(100))
    asked_back = stream.folder / "asked-back"
    settings = PROTOCOLS[protocol]
    last_window = {"WAIT_AT": "micro_batch", "WAIT_FOR": asked_back}
    with stream.worker("0", TIDEGATE_INTAKE__MAX_WAIT_S=2, **last_window, **settings) as leaving:
        leaving.wait_for("on the device")
        leaving.send(signal.SIGTERM)
        row.bit()
        with stream.worker("1", **settings) as successor:
            leaving.wait_for("revocation waits")
            asked_back.touch()
            assert leaving.ended(within_s=10) == 0
            stream.produce_comments(range(100, 1_000))
            stream.wait_until_judged()
            assert successor.stop() == 0
    assert records_in(leaving, "window") == records_in(leaving, "scored") == 100
    assert records_in(successor, "scored") == 900
    row.judged(stream.check())


@pytest.mark.row("P3")
def test_p3_sigterm_while_idle_ends_at_once(row: Row, make_stream: MakeStream) -> None:
    """Nothing waits for a window that does not come."""
    stream = make_stream(2)
    stream.produce_comments(range(500))
    with stream.worker() as worker:
        stream.wait_until_judged()
        start = monotonic()
        assert worker.stop(within_s=10) == 0
        row.measured(exit_s=monotonic() - start)
        row.bit()
    row.judged(stream.check())


@pytest.mark.row("P3")
def test_p3_a_second_sigterm_ends_a_slow_worker_and_loses_nothing(
    row: Row, make_stream: MakeStream
) -> None:
    """At once the second is the first one again; a second later it is a person's impatience."""
    stream = make_stream(2)
    stream.produce_comments(range(3_000))
    with stream.worker("twice", SCORE_S=0.3) as patient:
        patient.wait_for("window")
        patient.send(signal.SIGTERM)
        assert patient.stop(within_s=10) == 0
        row.bit()
    with stream.worker("slow", SCORE_S=8) as slow:
        slow.wait_for("partitions assigned")
        eventually(lambda: slow.probe("/readyz")[0] == 200, stream.logs)
        slow.send(signal.SIGTERM)
        Event().wait(1.5)
        assert slow.stop(within_s=3) == -signal.SIGTERM
        row.bit()

    finish(row, stream)


@pytest.mark.row("P4")
@pytest.mark.parametrize(
    "membership", ["dynamic", pytest.param("static", marks=pytest.mark.slow_faults)]
)
def test_p4_two_workers_under_one_slot_never_mix(
    membership: str, row: Row, make_stream: MakeStream
) -> None:
    """They fence each other; one ends and says why, and no comment is judged twice."""
    stream = make_stream(2)
    settings = {
        "SCORE_S": 0.05,
        "TIDEGATE_INTAKE__MAX_MESSAGES": 20,
        **MEMBERSHIPS[membership],
    }
    with stream.worker(**settings) as first:
        first.wait_for("partitions assigned")
        with (
            comments_all_the_while(stream, most=20_000),
            stream.worker(**settings) as second,
        ):
            both = (first, second)
            eventually(lambda: any(w.process.poll() is not None for w in both), stream.logs)
            ended = next(worker for worker in both if worker.process.poll() is not None)
            row.bit(1 + sum(len(worker.events("producer rebuilt")) for worker in both))
    finish(row, stream, **MEMBERSHIPS[membership])

    assert ended.process.returncode == 1
    assert re.search(SAYS_WHY, ended.said)


@pytest.mark.slow_faults
@pytest.mark.row("P5")
def test_p5_a_thread_that_dies_takes_the_process_with_it(row: Row, make_stream: MakeStream) -> None:
    """An error that nobody foresaw, in any of the three threads: non-zero, and nothing lost."""
    streams = {point: make_stream(1) for point in ("consumed", "scored", "begun", "committing")}
    with ExitStack() as stack:
        for point, stream in streams.items():
            stream.produce_comments(range(2_000))
            after = row.random.randint(1, 9)
            stack.enter_context(stream.worker(RAISE_AT=point, RAISE_AFTER=after))
        for point, stream in streams.items():
            assert stream.workers[0].ended() == 1, point
            assert "InjectedError" in stream.workers[0].said, point
            row.bit()

    finish(row, *streams.values())


@pytest.mark.row("P5")
def test_p5_a_thread_that_hangs_fails_liveness_within_its_bound(
    row: Row, make_stream: MakeStream
) -> None:
    """Intake, and publish: /livez names the thread; SIGTERM ends the process, or else SIGKILL."""
    streams = {"intake": make_stream(1), "MainThread": make_stream(1)}
    with ExitStack() as stack:
        for point, stream in zip(("consumed", "committing"), streams.values(), strict=True):
            stream.produce_comments(range(2_000))
            stack.enter_context(stream.worker(HANG_AT=point, HANG_AFTER=3, **IMPATIENT))
        for thread, stream in streams.items():
            (worker,) = stream.workers
            worker.wait_for("window")
            start = monotonic()
            eventually(partial(is_dead, worker), stream.logs, tick_s=PROBE_S)
            assert f"thread {thread} has not turned for {LIVENESS_S} s" in worker.probe("/livez")[1]
            row.measured(**{f"{thread}_found_s": monotonic() - start})
            row.bit()
        intake, main = (stream.workers[0] for stream in streams.values())
        main.send(signal.SIGKILL)  # a kubelet's second word; Python hears the first in this thread
        assert intake.stop(within_s=30) == 1

    finish(row, *streams.values())


def is_dead(worker: Worker) -> bool:
    """Say whether a kubelet would restart it."""
    return worker.probe("/livez")[0] == 503
