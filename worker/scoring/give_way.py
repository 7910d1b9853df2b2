"""Threads that compute give way to those that answer."""

import os
import sys
import threading
from contextlib import suppress
from typing import Final

STEPS: Final = 5  # of niceness: a third of the share of a thread that has something to answer


def give_way() -> None:
    """Lower the calling thread's priority, where threads have one of their own (Linux).

    Engines fill all cores. At the same priority the thread that answers, which needs a millisecond
    now and then, waits for its turn behind them: heartbeats, refusals and probes come late.
    """
    if sys.platform != "linux":  # elsewhere niceness is the whole process's
        return
    thread = threading.get_native_id()
    lower = os.getpriority(os.PRIO_PROCESS, thread) + STEPS
    with suppress(PermissionError):  # a sandbox may forbid it, and all goes on as it was
        os.setpriority(os.PRIO_PROCESS, thread, lower)
