"""The whole flow with rooms of straw: order, errors in their turn, nothing left behind."""

import threading
from collections.abc import Callable, Iterator
from itertools import chain
from time import monotonic
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from

from rig.make import make_judge, make_record, make_shared
from rig.stub import stub_score
from worker.intake import Intake
from worker.pipeline import Rooms, run
from worker.prepare import Prepare
from worker.settings import LimitSettings
from worker.shared import Shared, Stop
from worker.tokenise import Pieces
from worker.window import Fetched, Judged, Partition

PARTITION = Partition("comments", 0)


class StrawIntake:
    """Gives numbered windows, for ever or until it fails."""

    def __init__(self, shared: Shared, windows: int | None, fails: bool) -> None:  # noqa: FBT001 - a table's row
        self._claims = shared.claims
        self._windows = windows
        self._fails = fails
        self._claims.assign([PARTITION])
        self.waited_for: bool | None = None
        self.drawn = 0

    def windows(self, stop: Stop) -> Iterator[Fetched]:
        """Yield windows of one record."""
        while not stop.is_set() and self.drawn != self._windows:
            self.drawn += 1
            yield Fetched(self._claims.claim([PARTITION]), [make_record(self.drawn - 1)])
        if self._fails:
            raise ValueError("intake")
        stop.set()  # an intake ends for no other reason

    def stay_in_group(self) -> None:
        """Do nothing: there is no group."""

    def drain(self) -> None:
        """Do nothing, either."""

    def close(self) -> None:
        """Give the partitions back, as a consumer that leaves its group does."""
        assert not [t for t in threading.enumerate() if t.name in {"intake", "device"}]
        self.waited_for = self._claims.revoke([PARTITION], deadline_s=60)


class StrawHouse:
    """Rooms of which one may fail at a window."""

    def __init__(self, failing: str | None = None, at: int = 0, windows: int | None = None) -> None:
        self.shared = make_shared()
        self.failing, self.at = failing, at
        self.published: list[int] = []
        self.closed = False
        self.failure: Exception | None = None
        fails = failing == "intake"
        self.intake = StrawIntake(self.shared, at if fails else windows, fails)

    def run(self) -> None:
        """Run until the windows are over or a room fails."""
        prepare = Prepare(
            LimitSettings(), lambda texts: [Pieces(([0],), truncated=False)] * len(texts)
        )
        rooms = Rooms(
            cast("Intake", self.intake),
            self._room("prepare", prepare),
            self._room("score", stub_score),
            self._room("judge", make_judge()),
            self,
        )
        run(rooms, self.shared)

    def __call__(self, window: Judged) -> None:
        """Publish a window."""
        number = window.outcomes[0].record.offset
        if self.failing == "publish" and number == self.at:
            raise ValueError("publish")
        self.published.append(number)
        self.shared.claims.land(window.claim)

    def idle(self) -> None:
        """Have nothing to do."""

    def close(self) -> None:
        """Note the end."""
        self.closed = True

    def _room(self, name: str, act: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Make a room that fails at its window."""
        seen = iter(range(1_000_000))

        def room(window: Any) -> Any:
            if next(seen) == self.at and name == self.failing:
                raise self.failure or ValueError(name)
            return act(window)

        return room


@given(windows=integers(0, 12))
def test_every_window_is_published_in_order(windows: int) -> None:
    """Then the threads have ended, the group is left, and the producer is let go."""
    house = StrawHouse(windows=windows)

    house.run()

    assert list(range(windows)) == house.published
    assert house.intake.waited_for
    assert house.closed


@settings(max_examples=30)
@given(failing=sampled_from(["intake", "prepare", "score", "judge", "publish"]), at=integers(0, 5))
def test_an_error_in_any_room_comes_in_its_turn(failing: str, at: int) -> None:
    """All windows before it are published, and nothing of its own or of a later one is."""
    house = StrawHouse(failing, at)

    with pytest.raises(ValueError, match=failing):
        house.run()

    assert list(range(at)) == house.published
    assert house.closed
    assert house.shared.stop.is_set()
    assert house.intake.waited_for is not None


@pytest.mark.parametrize("failing", ["score", "publish"])
def test_nobody_waits_for_windows_that_a_failure_stranded(failing: str) -> None:
    """The process must end at once: the group's next member is waiting, not we."""
    house = StrawHouse(failing, at=2)
    start = monotonic()

    with pytest.raises(ValueError, match=failing):
        house.run()

    assert monotonic() - start < 20


def test_a_stop_finishes_the_windows_in_flight() -> None:
    """What was fetched is published; no more is fetched."""
    house = StrawHouse()
    publish = house.published.append

    class StopsAtTen(list[int]):
        def append(self, number: int) -> None:
            if number == 10:
                house.shared.stop.set()
            publish(number)

    everything, house.published = house.published, StopsAtTen()

    house.run()

    assert list(range(house.intake.drawn)) == everything
    assert len(everything) < 16


def test_a_window_that_was_lost_is_passed_over() -> None:
    """Partitions that came back are fetched anew, under a claim of their own."""
    house = StrawHouse(windows=3)
    claim = house.shared.claims.claim([PARTITION])
    house.shared.claims.lose([PARTITION])
    house.shared.claims.assign([PARTITION])
    stale = Fetched(claim, [make_record(77)])
    windows = house.intake.windows
    house.intake.windows = lambda stop: chain([stale], windows(stop))  # type: ignore[method-assign]

    house.run()

    assert house.published == [0, 1, 2]


def test_a_stream_that_ends_by_itself_is_no_good_end() -> None:
    """A StopIteration that escapes a room must not look like a stop that was wished for."""
    house = StrawHouse(failing="judge", at=3)
    house.failure = StopIteration()

    with pytest.raises(RuntimeError, match="nobody asked for it"):
        house.run()
    assert house.published == [0, 1, 2]
