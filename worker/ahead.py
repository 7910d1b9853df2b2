"""One thread and one bounded queue: the joint between two rooms."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, Queue
from threading import Event, Semaphore, Thread
from typing import Any, Final, TypeVar

from worker.pulse import Pulse

W = TypeVar("W")

TICK_S: Final = 0.25  # how often a thread that waits looks up
JOIN_S: Final = 10  # how long a thread may take to end; one that hangs is left to die with us

_END: Final = object()


class _Failed:
    """An error on its way to the reader."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def ahead(  # noqa: PLR0913 - what each side of the joint needs
    windows: Iterable[W],
    name: str,
    abandon: Event,
    pulse: Pulse,
    *,
    while_full: Callable[[], None] = lambda: None,
    while_empty: Callable[[], None] = lambda: None,
) -> Generator[W, None, None]:
    """Draw `windows` in a thread of their own, one ahead of the reader.

    The thread starts when the first window is asked for. The next window is drawn only when the
    one before has been taken: what waits in between is one window, enough to overlap two rooms,
    and what is not drawn yet can still grow. An error travels the road the windows travel: it is
    raised here, in its turn.

    Args:
        windows: drawn in the new thread only.
        name: the thread's, for liveness and logs.
        abandon: when set, the thread ends after the window it is at.
        pulse: told that a thread turns, whichever waits.
        while_full: called in the drawing thread every TICK_S while a window waits to be taken.
        while_empty: called in the reader every TICK_S while there is nothing to read.
    """
    queue: Queue[Any] = Queue()
    room = Semaphore(1)

    def there_is_room() -> bool:
        while not room.acquire(timeout=TICK_S):
            pulse.beat()
            if abandon.is_set():
                return False
            while_full()
        return True

    def draw() -> None:
        source = iter(windows)
        try:
            while there_is_room() and not abandon.is_set():
                pulse.beat()
                queue.put(next(source))
        except StopIteration:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the reader
            queue.put(_Failed(error))
        finally:
            queue.put(_END)
            pulse.rest()

    thread = Thread(target=draw, name=name, daemon=True)
    thread.start()
    try:
        yield from _read(queue, room, pulse, while_empty)
    finally:
        thread.join(JOIN_S)


@contextmanager
def closed_after(windows: Generator[W, None, None]) -> Iterator[Iterator[W]]:
    """Close `windows` after the block, unless a thread that hangs is still drawing from it."""
    try:
        yield windows
    finally:
        # "generator already executing": that thread is left to die with the process, and must
        # not hide the error for which the block ended.
        with suppress(ValueError):
            windows.close()


def _read(
    queue: Queue[Any], room: Semaphore, pulse: Pulse, while_empty: Callable[[], None]
) -> Iterator[Any]:
    while True:
        pulse.beat()
        try:
            item = queue.get(timeout=TICK_S)
        except Empty:
            while_empty()
            continue
        if item is _END:
            return
        if isinstance(item, _Failed):
            raise item.error
        room.release()
        yield item
