"""One thread and one queue: order, errors in their turn, and no thread left behind."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import count
from threading import Event

import pytest

from rig.stream import eventually
from worker.ahead import ahead
from worker.pulse import Pulse

NAME = "drawing"


def alive() -> bool:
    """Say whether a drawing thread still lives."""
    return any(thread.name == NAME for thread in threading.enumerate())


def drawn(
    windows: Iterable[int], abandon: Event | None = None
) -> AbstractContextManager[Iterator[int]]:
    """Draw in a thread."""
    return ahead(windows, NAME, abandon or Event(), Pulse())


def failing_after(windows: int) -> Iterator[int]:
    """Give some windows, then fail."""
    yield from range(windows)
    raise ValueError("the room is on fire")


def test_windows_come_in_the_order_they_were_drawn() -> None:
    """And the thread has ended with them."""
    with drawn(range(100)) as windows:
        assert list(range(100)) == list(windows)
    assert not alive()


@pytest.mark.parametrize("before", [0, 1, 5])
def test_an_error_comes_after_all_windows_before_it(before: int) -> None:
    """It is raised in the reader, in its turn, as it was."""
    read = list[int]()

    with drawn(failing_after(before)) as windows:
        for _ in range(before):
            read.append(next(windows))
        with pytest.raises(ValueError, match="the room is on fire"):
            next(windows)

    assert list(range(before)) == read
    assert not alive()


def test_an_abandoned_endless_source_leaves_no_thread() -> None:
    """The drawing thread looks up after every window."""
    abandon = Event()
    with ahead(count(), NAME, abandon, Pulse()) as windows:
        assert next(windows) == 0
        assert alive()
        abandon.set()

    assert not alive()


def test_a_source_that_was_abandoned_ends_the_reader() -> None:
    """No end was put into the queue, and yet the reader does not wait for ever."""
    abandon = Event()
    with drawn(count(), abandon) as windows:
        next(windows)
        abandon.set()

        assert len(list(windows)) <= 2


def test_no_more_than_two_windows_are_in_being() -> None:
    """One with the reader, one that waits; what is not drawn yet can still grow."""
    in_being = 0
    full = Event()

    def source() -> Iterator[int]:
        nonlocal in_being
        for number in count():
            in_being = number + 1
            yield number

    abandon = Event()
    with ahead(source(), NAME, abandon, Pulse(), while_full=full.set) as windows:
        next(windows)
        assert full.wait(60)
        assert in_being == 2
        abandon.set()


def test_while_the_reader_is_behind_the_thread_stays_busy() -> None:
    """`while_full` runs in the drawing thread, again and again."""
    names = list[str]()
    abandon = Event()

    def stay() -> None:
        names.append(threading.current_thread().name)

    with ahead(count(), NAME, abandon, Pulse(), while_full=stay) as windows:
        next(windows)
        eventually(lambda: len(names) >= 2)
        abandon.set()

    assert {NAME} == set(names)


def test_an_error_of_staying_in_the_group_reaches_the_reader() -> None:
    """A fatal event while the queue is full must not be lost with the thread."""
    abandon, failed = Event(), Event()

    def stay() -> None:
        failed.set()
        raise ValueError("the group has thrown us out")

    with ahead(count(), NAME, abandon, Pulse(), while_full=stay) as windows:
        next(windows)
        failed.wait(60)

        with pytest.raises(ValueError, match="thrown us out"):
            list(windows)
    assert not alive()


def test_an_error_waits_for_a_reader_who_is_far_behind() -> None:
    """The thread has ended by then; its error is neither lost nor an ordinary end."""

    def stay() -> None:
        raise ValueError("the offset has expired")

    with ahead(count(), NAME, Event(), Pulse(), while_full=stay) as windows:
        next(windows)
        eventually(lambda: not alive(), lambda: "the thread should have ended")

        with pytest.raises(ValueError, match="expired"):
            list(windows)


def test_after_the_last_window_the_thread_goes_on_until_the_block_ends() -> None:
    """The reader has the end at once, and a room that must not fall silent meanwhile does not."""
    names = list[str]()

    def look() -> None:
        names.append(threading.current_thread().name)

    with ahead(range(3), NAME, Event(), Pulse(), afterwards=look) as windows:
        assert list(windows) == [0, 1, 2]
        eventually(lambda: len(names) >= 2)

    assert {NAME} == set(names)
    assert not alive()


def test_after_an_error_nothing_more_is_done() -> None:
    """What failed cannot be kept up."""
    looked = Event()

    with ahead(failing_after(1), NAME, Event(), Pulse(), afterwards=looked.set) as windows:
        assert next(windows) == 0
        with pytest.raises(ValueError, match="on fire"):
            next(windows)

    assert not looked.is_set()


def test_a_block_that_asks_for_nothing_starts_no_thread() -> None:
    """A worker that fails before its first window has none to wait for."""
    with drawn(range(3)):
        assert not alive()


def test_both_threads_beat_while_they_wait() -> None:
    """Liveness sees a thread that waits as one that turns."""
    pulse, abandon, hold = Pulse(), Event(), Event()

    def source() -> Iterator[int]:
        yield 0
        hold.wait(60)

    with ahead(source(), NAME, abandon, pulse) as windows:
        next(windows)
        assert {NAME, "MainThread"} == set(pulse.stuck(-1))
        hold.set()
        assert list(windows) == []

    assert pulse.stuck(-1) == ["MainThread"]
