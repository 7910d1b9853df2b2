"""The checker's proof: twelve bugs, each planted into a worker on a real stream, each caught.

Once by the rig's checker, which knows what the stub should have said, and once by `tidegate
reconcile`, which users have. A checker that passes over one of these proves nothing elsewhere.
"""

import signal
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from deploy.reconcile.findings import Answer
from rig.bugs import BUGS
from rig.stream import Stream, eventually

pytestmark = pytest.mark.broker

# So that all comments, of both partitions, are on the device at once.
ONE_WINDOW = {"TIDEGATE_INTAKE__MAX_MESSAGES": "602", "TIDEGATE_INTAKE__MAX_WAIT_S": "5"}

AT_LEAST_ONCE = {"TIDEGATE_PUBLISH__DELIVERY": "at-least-once"}


def by_itself(stream: Stream, **settings: Any) -> None:
    """Run a worker with the bug to the end of the comments."""
    with stream.worker(**settings) as worker:
        wait_until_committed(stream)
        assert worker.stop() == 0


def with_a_kill(stream: Stream, **settings: Any) -> None:
    """Run a worker with the bug into its death, and an honest successor to the end."""
    with stream.worker(**settings) as worker:
        assert worker.ended() == -signal.SIGKILL
    succeed(stream, settings)


def with_offsets_that_stay_behind(stream: Stream, **settings: Any) -> None:
    """Kill a worker whose verdicts are published and whose offsets are not."""
    with stream.worker(STALL_AT="consumed", STALL_AFTER=2, STALL_S=600, **settings) as worker:
        worker.wait_for("window")
    succeed(stream, settings)


def with_more_to_come(stream: Stream, **settings: Any) -> None:
    """Have the window that is lost followed by others of its partition."""
    with stream.worker(**settings) as worker:
        worker.wait_for("window", times=2)
        stream.produce_comments(range(600, 1_200))
        wait_until_committed(stream)
        assert worker.stop() == 0


def with_a_second_owner(stream: Stream, **settings: Any) -> None:
    """Let an honest worker take a partition over whose comments are still on the device."""
    on = stream.folder / "on"
    slow = {"WAIT_AT": "micro_batch", "WAIT_FOR": on, "TIDEGATE_PUBLISH__REVOKE_DEADLINE_S": 0.3}
    with stream.worker("0", **slow, **ONE_WINDOW, **settings) as worker:
        worker.wait_for("partitions assigned")
        worker.wait_for("on the device")
        with stream.worker("1") as other:
            worker.wait_for("partitions revoked")
            other.wait_for("window")
            on.touch()
            wait_until_committed(stream)
            worker.wait_for("scored")
            assert (worker.stop(), other.stop()) == (0, 0)


def with_a_partition_that_is_lost_and_assigned_again(stream: Stream, **settings: Any) -> None:
    """Stall intake past `max.poll.interval.ms` while a window is on the device."""
    on = stream.folder / "on"
    stall = {
        "STALL_AT": "consumed",
        "STALL_AFTER": 2,
        "STALL_S": 8,
        "WAIT_AT": "micro_batch",
        "WAIT_FOR": on,
        "TIDEGATE_INTAKE__MAX_POLL_INTERVAL_S": 6,
    }
    with stream.worker(**stall, **settings) as worker:
        worker.wait_for("partitions lost")
        worker.wait_for("partitions assigned", times=2)
        on.touch()
        wait_until_committed(stream)
        assert worker.stop() == 0


class Seeded(NamedTuple):
    """How a bug is brought to bite, and which promise of the checker it breaks."""

    breaks: str
    run: Callable[..., None] = by_itself
    settings: Mapping[str, str] = MappingProxyType({})
    shows_in_topics: bool = True  # False: `reconcile` cannot know what scores should be


SEEDED = {
    "offset_not_plus_one": Seeded("I4"),
    "gate_off": Seeded("I1 judged twice", with_a_second_owner),
    "offsets_sent_first": Seeded("I1 without", with_a_kill, {"KILL_AT": "half_produced"}),
    "metadata_of_another_count": Seeded(
        "I1 judged twice", with_a_partition_that_is_lost_and_assigned_again
    ),
    "order_swapped": Seeded("I3"),
    "results_shifted_by_one": Seeded("I7", shows_in_topics=False),
    "abort_without_retry": Seeded("I1 without", with_more_to_come),
    "dead_letter_reencoded": Seeded("I6"),
    "tombstone_lost": Seeded("I1 tombstones"),
    "exception_swallowed_in_consume": Seeded("I1 without", with_more_to_come),
    "commit_before_flush": Seeded("I1 without", with_a_kill, AT_LEAST_ONCE),
    "at_least_once_posing_as_exact": Seeded(
        "I1 judged twice", with_offsets_that_stay_behind, AT_LEAST_ONCE
    ),
}


def test_there_are_twelve_and_each_is_planted_here() -> None:
    """A bug without a run would be a bug that nobody looks for."""
    assert BUGS.keys() == SEEDED.keys()
    assert len(SEEDED) == 12


@pytest.mark.parametrize("name", SEEDED)
def test_every_seeded_bug_is_caught_on_a_real_stream(
    name: str, make_stream: Callable[[int], Stream]
) -> None:
    """By the promise that it breaks; the topics held a dead letter and an erasure, too."""
    bug, stream = SEEDED[name], make_stream(2)
    stream.produce_comments(range(600))
    stream.produce([(b"k1", None, []), (b"k2", b"{broken \xff", [("a", b"1"), ("a", None)])])

    bug.run(stream, BUG=name, **bug.settings)

    broken = stream.broken(stream.outcomes())
    assert any(found.startswith(bug.breaks) for found in broken), broken
    expected = Answer.REFUTED if bug.shows_in_topics else Answer.PROVEN
    report = stream.reconciled()
    assert report.answer is expected, "\n".join(report.lines())


def test_without_a_bug_nothing_is_caught(make_stream: Callable[[int], Stream]) -> None:
    """The same comments, a second owner, and honest workers."""
    stream = make_stream(2)
    stream.produce_comments(range(600))
    stream.produce([(b"k1", None, []), (b"k2", b"{broken \xff", [("a", b"1"), ("a", None)])])

    with_a_second_owner(stream)

    stream.check()
    stream.prove()


def succeed(stream: Stream, settings: Mapping[str, str]) -> None:
    """Let an honest worker with the same delivery finish."""
    delivery = {name: value for name, value in settings.items() if name.startswith("TIDEGATE_")}
    by_itself(stream, **delivery)


def wait_until_committed(stream: Stream) -> None:
    """Wait until the group's offsets are at the end, or one short of it in each partition."""
    ends = sum(stream.ends().values())
    eventually(
        lambda: sum(stream.committed().values()) >= ends - stream.partitions,
        stream.logs,
        tick_s=0.2,
    )
