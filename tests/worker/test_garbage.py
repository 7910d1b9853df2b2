"""The collector of cycles leaves windows alone, and still runs."""

import gc
from collections.abc import Iterator

import pytest

from rig.make import make_judged, make_record, value_of
from worker.garbage import WINDOWS_IN_FLIGHT, spare_windows
from worker.window import Judged

RECORDS = 3_000


@pytest.fixture
def collections() -> Iterator[list[int]]:
    """Count the collections, and leave the collector as it was found."""
    before, seen = gc.get_threshold(), list[int]()

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            seen.append(info["generation"])

    spare_windows(RECORDS)
    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.unfreeze()
    gc.set_threshold(*before)


def a_window() -> Judged:
    """Return a full window, as it waits to be published."""
    records = [
        make_record(n, value_of(comment_id=f"c{n}"), f"c{n}".encode()) for n in range(RECORDS)
    ]
    return make_judged(records)


def test_full_windows_in_all_rooms_do_not_wake_the_collector(collections: list[int]) -> None:
    """They die by their reference counts; looking through them took a third of the time."""
    windows = [a_window() for _ in range(WINDOWS_IN_FLIGHT)]
    for _ in range(3):
        windows = [*windows[1:], a_window()]
    assert collections == []


def test_cycles_that_pile_up_are_still_collected(collections: list[int]) -> None:
    """It is put off, not put out."""
    for _ in range(1_000_000):
        cycle: list[object] = []
        cycle.append(cycle)
    assert collections
