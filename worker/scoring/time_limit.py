"""A time limit on the engine: past it the process ends, whatever its threads are doing.

An engine that hangs may hold Python's lock meanwhile (OpenVINO can, when a process's first
inference happens in two threads at once), and then no thread of ours would run. So the clock is
the standard library's watchdog in C. It writes where each thread stands, and no values.
"""

import faulthandler
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.begun import Begun
from worker.window import Prepared, Scored


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End the process with status 1 if the block takes longer; one block at a time."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def within(seconds: float, score: Callable[[Prepared], Scored]) -> Callable[[Prepared], Scored]:
    """Return `score` with a limit on each window."""

    def limited(window: Prepared) -> Scored:
        with time_limit(seconds):
            return score(window)

    return limited


def each_within(
    seconds: float, begin: Callable[[Prepared], Begun[Scored]]
) -> Callable[[Prepared], Begun[Scored]]:
    """Return `begin` with a limit on each of its two steps."""

    def limited(window: Prepared) -> Begun[Scored]:
        with time_limit(seconds):
            begun = begin(window)

        def result() -> Scored:
            with time_limit(seconds):
                return begun.result()

        return Begun(begun.is_ready, result)

    return limited
