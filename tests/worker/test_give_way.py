"""Threads that compute have a lower priority than those that answer."""

import os
import sys
from threading import Thread, get_native_id

import pytest

from worker.scoring.give_way import STEPS, give_way


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no niceness of their own here")
def test_a_thread_that_gives_way_is_nicer_than_the_one_that_started_it() -> None:
    """Its own niceness rises; that of the thread which answers stays."""
    before = os.getpriority(os.PRIO_PROCESS, get_native_id())
    found = []

    def compute() -> None:
        give_way()
        found.append(os.getpriority(os.PRIO_PROCESS, get_native_id()))

    thread = Thread(target=compute)
    thread.start()
    thread.join()

    assert found == [min(before + STEPS, 19)]
    assert os.getpriority(os.PRIO_PROCESS, get_native_id()) == before
