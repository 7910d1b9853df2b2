"""One thread and one bounded queue: the joint between two rooms."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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


@contextmanager
def ahead(  # noqa: PLR0913 - what each side of the joint needs
    windows: Iterable[W],
    name: str,
    abandon: Event,
    pulse: Pulse,
    *,
    while_full: Callable[[], None] = lambda: None,
    while_empty: Callable[[], None] = lambda: None,
    afterwards: Callable[[], None] | None = None,
) -> Iterator[Iterator[W]]:
    """Draw `windows` in a thread of their own, one ahead of the reader, while the block lasts.

    The thread starts when the first window is asked for. The next window is drawn only when the
    one before has been taken: what waits in between is one window, enough to overlap two rooms,
    and what is not drawn yet can still grow. An error travels the road the windows travel: it is
    raised in the reader, in its turn. After the block the thread has ended, or hangs and is left to
    die with the process.

    Args:
        windows: drawn in the new thread only.
        name: the thread's, for liveness and logs.
        abandon: when set, the thread ends after the window it is at; set at the block's end.
        pulse: told that a thread turns, whichever waits.
        while_full: called in the drawing thread every TICK_S while a window waits to be taken.
        while_empty: called in the reader every TICK_S while there is nothing to read.
        afterwards: called in the drawing thread every TICK_S from the last window to `abandon`.
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
            queue.put(_END)
            while afterwards and not abandon.wait(TICK_S):
                pulse.beat()
                afterwards()
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the reader
            queue.put(_Failed(error))
        finally:
            queue.put(_END)
            pulse.rest()

    thread = Thread(target=draw, name=name, daemon=True)
    try:
        yield _read(thread, queue, room, pulse, while_empty)
    finally:
        abandon.set()
        if thread.ident is not None:
            thread.join(JOIN_S)


def _read(
    thread: Thread,
    queue: Queue[Any],
    room: Semaphore,
    pulse: Pulse,
    while_empty: Callable[[], None],
) -> Iterator[Any]:
    thread.start()
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
