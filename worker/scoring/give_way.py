"""Threads that compute give way to those that answer."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

TASKS: Final = Path("/proc/self/task")  # threads of this process, on Linux
STEPS: Final = 5  # of niceness: a third of the share of a thread that has something to answer


def give_way() -> None:
    """Lower the calling thread's priority, where threads have one of their own (Linux).

    Engines fill all cores. At the same priority the thread that answers, which needs a millisecond
    now and then, waits for its turn behind them: heartbeats, refusals and probes come late.
    """
    _lower(threading.get_native_id())


@contextmanager
def new_threads_give_way() -> Iterator[None]:
    """Lower the priority of the threads that came into being meanwhile: a library's own."""
    before = _threads()
    yield
    for thread in _threads() - before:
        _lower(thread)


def _threads() -> set[int]:
    return {int(task.name) for task in TASKS.iterdir()} if TASKS.is_dir() else set()


def _lower(thread: int) -> None:
    if sys.platform != "linux":  # elsewhere niceness is the whole process's
        return
    # A sandbox may forbid it, and a thread may have ended: all goes on as it was.
    with suppress(PermissionError, ProcessLookupError):
        lower = os.getpriority(os.PRIO_PROCESS, thread) + STEPS
        os.setpriority(os.PRIO_PROCESS, thread, lower)
