"""G1 to G4: workers that come and go while windows are on their way."""

import signal
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import pairwise
from threading import Event
from time import time

import pytest

from faults.protocols import PROTOCOLS
from faults.report import Row
from rig.stream import Stream, Worker, comments_all_the_while, eventually
from worker.window import Record

pytestmark = pytest.mark.broker

MakeStream = Callable[[int], Stream]

WINDOW = 50


def finished_in_time(workers: Sequence[Worker]) -> list[bool]:
    """Return for each revocation whether its windows were committed before the deadline."""
    return [event["finished"] for w in workers for event in w.events("partitions revoked")]


def waited_s(workers: Sequence[Worker]) -> list[float]:
    """Return for each revocation how long it waited, in seconds; 0 among them."""
    return [0.0, *(event["seconds"] for w in workers for event in w.events("revocation waited"))]


def moves(workers: Sequence[Worker]) -> int:
    """Return how often partitions were taken from a worker."""
    return sum(
        len(worker.events(name))
        for worker in workers
        for name in ("partitions revoked", "partitions lost")
    )


def scored(workers: Sequence[Worker]) -> int:
    """Return how many records went over a device, those that were dropped afterwards included."""
    return sum(event["records"] for worker in workers for event in worker.events("scored"))


@pytest.mark.row("G1")
@pytest.mark.parametrize(
    ("protocol", "delivery"),
    [
        ("consumer", "exactly-once"),
        pytest.param("classic", "exactly-once", marks=pytest.mark.slow_faults),
        pytest.param("consumer", "at-least-once", marks=pytest.mark.slow_faults),
    ],
)
def test_g1_one_two_four_and_one_worker_judge_each_window_once(
    protocol: str, delivery: str, row: Row, make_stream: MakeStream
) -> None:
    """Each move costs a window at most; no revocation outlasts the windows on the device."""
    stream = make_stream(8)
    settings = {
        **PROTOCOLS[protocol],
        "TIDEGATE_INTAKE__MAX_MESSAGES": WINDOW,
        "TIDEGATE_PUBLISH__DELIVERY": delivery,
        "SCORE_S": 0.05,
    }
    with ExitStack() as stack:

        def join(slot: str) -> Worker:
            return stack.enter_context(stream.worker(slot, **settings))

        stack.enter_context(comments_all_the_while(stream, most=100_000, at_a_time=25))
        first = join("0")
        first.wait_for("window")
        second = join("1")
        second.wait_for("window")
        others = [join("2"), join("3")]
        for worker in others:
            worker.wait_for("window")
        leaving = [second, *others]
        row.random.shuffle(leaving)
        for worker in leaving:
            assert worker.stop() == 0
        windows = len(first.events("window"))
        eventually(lambda: len(first.owned()) == 8, stream.logs)
        first.wait_for("window", times=windows + 2)
        until = time()
    with stream.worker("0", **settings) as last:
        stream.wait_until_judged()
        assert last.stop() == 0

    outcomes = stream.check(repeats=delivery == "at-least-once")
    row.judged(outcomes)
    row.bit(moves(stream.workers))
    again = scored(stream.workers) - row.comments
    assert again <= row.faults * WINDOW
    row.measured(
        scored_again=again,
        longest_wait_s=max(waited_s(stream.workers)),
        longest_pause_s=longest_pause_s(outcomes.verdicts, until),
    )
    assert all(finished_in_time(stream.workers))


def longest_pause_s(verdicts: Sequence[Record], until: float) -> float:
    """Return the longest time without a verdict on a partition, from its first one on.

    Args:
        verdicts: by partition, in their order.
        until: when the load ended, in seconds since 1970.
    """
    times: dict[int, list[float]] = defaultdict(list)
    for verdict in verdicts:
        if (said := verdict.timestamp / 1000) < until:
            times[verdict.partition.number].append(said)
    return max(b - a for said in times.values() for a, b in pairwise(said))


@pytest.mark.row("G2")
def test_g2_a_revocation_waits_for_a_slow_publisher_or_lets_go(
    row: Row, make_stream: MakeStream
) -> None:
    """Windows stand in every room: they are committed by the deadline, or dropped; no deadlock.

    The window on the device holds comments of both partitions, so whichever is asked back waits
    for it. A commit takes a second: within the longer deadline, beyond the shorter one.
    """
    settings = {
        "COMMIT_S": 1,
        "WAIT_AT": "micro_batch",
        "TIDEGATE_INTAKE__MAX_MESSAGES": 2 * WINDOW,
        "TIDEGATE_INTAKE__MAX_WAIT_S": 2,
    }
    deadlines = {8.0: make_stream(2), 0.3: make_stream(2)}
    with ExitStack() as stack:
        for deadline_s, stream in deadlines.items():
            stream.produce_comments(range(WINDOW))
            settings["TIDEGATE_PUBLISH__REVOKE_DEADLINE_S"] = deadline_s
            settings["WAIT_FOR"] = stream.folder / "asked-back"
            stack.enter_context(stream.worker("0", **settings))
        for stream in deadlines.values():
            stream.workers[0].wait_for("on the device")
            stream.produce_comments(range(WINDOW, 20 * WINDOW))
            stack.enter_context(stream.worker("1"))
        for deadline_s, stream in deadlines.items():
            first, second = stream.workers
            first.wait_for("revocation waits")
            (stream.folder / "asked-back").touch()
            eventually(lambda s=second: s.owned() != set(), stream.logs)  # type: ignore[misc]
            first.stop()
            stream.wait_until_judged()
            assert second.stop() == 0
            row.measured(**{f"waited_of_{deadline_s:g}_s": max(waited_s([first]))})
            assert max(waited_s([first])) <= deadline_s + 1
            row.bit(moves([first]))

    patient, impatient = deadlines.values()
    assert all(finished_in_time(patient.workers))
    assert not all(finished_in_time(impatient.workers))
    for stream in deadlines.values():
        row.judged(stream.check())


@pytest.mark.row("G3")
@pytest.mark.parametrize(
    "protocol", ["consumer", pytest.param("classic", marks=pytest.mark.slow_faults)]
)
def test_g3_owning_a_partition_again_is_not_owning_it_still(
    protocol: str, row: Row, make_stream: MakeStream
) -> None:
    """Intake stalls past `max.poll.interval.ms`: lost, and assigned again in the same call.

    The window that was on the device all the while is dropped, though its partition is ours.
    """
    stream = make_stream(1)
    stream.produce_comments(range(1_000))
    scored_at_last = stream.folder / "scored"
    with stream.worker(
        TIDEGATE_INTAKE__MAX_POLL_INTERVAL_S=6,
        STALL_AT="consumed",
        STALL_AFTER=2,
        STALL_S=row.random.uniform(7.5, 9),
        WAIT_AT="micro_batch",
        WAIT_FOR=scored_at_last,
        **PROTOCOLS[protocol],
    ) as worker:
        worker.wait_for("partitions lost")
        worker.wait_for("partitions assigned", times=2)
        assert worker.events("window") == []
        scored_at_last.touch()
        stream.wait_until_judged()
        assert worker.stop() == 0
        dropped = len(worker.events("window dropped"))
        row.bit(len(worker.events("partitions lost")))
        row.measured(scored_again=scored([worker]) - 1_000, windows_dropped=dropped)

    row.judged(stream.check())
    assert dropped > 0, "nothing of the old count was on its way"
    stream.prove()


@pytest.mark.row("G3")
@pytest.mark.parametrize(
    "protocol", ["consumer", pytest.param("classic", marks=pytest.mark.slow_faults)]
)
def test_g3_a_partition_asked_back_and_given_again_at_once_is_owned_anew(
    protocol: str, row: Row, make_stream: MakeStream
) -> None:
    """Another worker comes and goes while intake stands: it is told of both when it turns again.

    What is on its way by then is finished first, what is not is fetched anew, and nothing is scored
    twice.
    """
    stream = make_stream(2)
    stream.produce_comments(range(1_000))
    with stream.worker(
        "0", STALL_AT="consumed", STALL_AFTER=3, STALL_S=8, **PROTOCOLS[protocol]
    ) as worker:
        worker.wait_for("window", times=2)
        with stream.worker("1", **PROTOCOLS[protocol]) as other:  # killed at the end
            other.wait_for("worker started")
            Event().wait(row.random.uniform(1, 3))  # to ask for partitions
        assert worker.events("partitions revoked") == []
        worker.wait_for("partitions revoked")
        worker.wait_for("partitions assigned", times=2)
        row.bit(len(worker.events("partitions revoked")))
        stream.wait_until_judged()
        assert worker.stop() == 0
        assert worker.events("partitions lost") == []
        assert scored([worker]) == 1_000

    row.judged(stream.check())
    stream.prove()


@pytest.mark.row("G3")
def test_g3_partitions_that_are_lost_while_paused_are_fetched_again(
    row: Row, make_stream: MakeStream
) -> None:
    """Its queue was full, so they were paused; by the time that they come back it is not."""
    stream = make_stream(2)
    stream.produce_comments(range(3_000))
    device_is_free = stream.folder / "free"
    settings = PROTOCOLS["consumer"] | {"TIDEGATE_LOG__LEVEL": "debug"}
    with stream.worker("0", WAIT_AT="micro_batch", WAIT_FOR=device_is_free, **settings) as worker:
        worker.wait_for("partitions paused")
        worker.send(signal.SIGSTOP)
        worker.wait_until_stopped()
        with stream.worker("1", SCORE_S=0.5, **settings) as other:
            eventually(lambda: other.owned() == {0, 1}, stream.logs)
            device_is_free.touch()
            worker.send(signal.SIGCONT)
            worker.wait_for("partitions lost")
            worker.wait_for("partitions assigned", times=2)
            assert other.stop() == 0
        stream.wait_until_judged()
        assert worker.stop() == 0
        row.bit()

    row.judged(stream.check())


@pytest.mark.row("G4")
@pytest.mark.slow_faults
def test_g4_a_rolling_deploy_from_one_protocol_to_the_other_and_back_is_no_storm(
    row: Row, make_stream: MakeStream
) -> None:
    """Four workers are restarted one by one, there and back: each ends once, when it is asked to.

    The broker lets classic members into a group of KIP-848. Back it takes the group only as a
    whole, and not once librdkafka's assignor has left its data there: `auto` then stays with what
    the others speak. A member that joins in between the others' joins may be let in either way.
    """
    stream = make_stream(4)
    running: list[Worker] = []

    def start(slot: int, protocol: str) -> Worker:
        settings = PROTOCOLS[protocol] | {"SCORE_S": "0.02"}
        return stack.enter_context(stream.worker(f"{slot}", **settings))

    with ExitStack() as stack:
        stack.enter_context(comments_all_the_while(stream, most=100_000, at_a_time=20))
        running = [start(slot, "consumer") for slot in range(4)]
        for worker in running:
            worker.wait_for("window")
        for protocol in ("classic", "auto"):
            for slot in row.random.sample(range(4), 4):
                assert running[slot].stop() == 0
                row.bit()
                running[slot] = start(slot, protocol)
                running[slot].wait_for("partitions assigned")
        for worker in running:
            worker.wait_for("window")
        for worker in running:
            assert worker.stop() == 0
    with stream.worker("0", TIDEGATE_KAFKA__GROUP_PROTOCOL="auto") as last:
        stream.wait_until_judged()
        assert last.stop() == 0
        assert last.events("group protocol") == [], "nobody was left who speaks the classic one"

    row.judged(stream.check())
    stream.prove()


@pytest.mark.row("G4")
def test_g4_a_worker_that_insists_on_a_protocol_the_group_does_not_speak_says_so(
    row: Row, make_stream: MakeStream
) -> None:
    """It ends, and names the setting; those who are there go on.

    One after the other: members that have all joined at once have no data of their assignor in
    the group yet, and the broker turns such a group into one of KIP-848 and lets the stranger in.
    """
    stream = make_stream(2)
    classic = PROTOCOLS["classic"]
    with (
        comments_all_the_while(stream, most=100_000),
        stream.worker("0", **classic) as one,
        ExitStack() as later,
    ):
        one.wait_for("window")
        other = later.enter_context(stream.worker("1", **classic))
        other.wait_for("window")
        with stream.worker("2", TIDEGATE_KAFKA__GROUP_PROTOCOL="consumer") as stranger:
            assert stranger.ended() == 1
            assert "TIDEGATE_KAFKA__GROUP_PROTOCOL to auto" in stranger.said
            row.bit()
        one.wait_for("window", times=len(one.events("window")) + 1)
        assert (one.stop(), other.stop()) == (0, 0)

    with stream.worker("0") as last:
        stream.wait_until_judged()
        assert last.stop() == 0
    row.judged(stream.check())
