"""Threads that compute give way to those that answer."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

TASKS: Final = Path("/proc/self/task")  # threads of this process, on Linux

# Of niceness. A third of the share of a thread that has something to answer; in an API, which has
# many to answer, a sixth: refusals come sooner. Behind a broker on the same cores that would be too
# little for a worker (docs/performance.md).
STEPS: Final = 5
STEPS_OF_AN_API: Final = 8


def give_way(steps: int) -> None:
    """Lower the calling thread's priority, where threads have one of their own (Linux).

    Engines fill all cores. At the same priority the thread that answers, which needs a millisecond
    now and then, waits for its turn behind them: heartbeats, refusals and probes come late.
    """
    _lower(threading.get_native_id(), steps)


@contextmanager
def new_threads_give_way(steps: int) -> Iterator[None]:
    """Lower the priority of the threads that came into being meanwhile: a library's own."""
    before = _threads()
    yield
    for thread in _threads() - before:
        _lower(thread, steps)


def _threads() -> set[int]:
    return {int(task.name) for task in TASKS.iterdir()} if TASKS.is_dir() else set()


def _lower(thread: int, steps: int) -> None:
    if sys.platform != "linux":  # elsewhere niceness is the whole process's
        return
    # A sandbox may forbid it, and a thread may have ended: all goes on as it was.
    with suppress(PermissionError, ProcessLookupError):
        lower = os.getpriority(os.PRIO_PROCESS, thread) + steps
        os.setpriority(os.PRIO_PROCESS, thread, lower)
