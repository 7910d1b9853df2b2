"""An engine that hangs ends its process: these tests run in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

SCORE = """
import ctypes, sys, time
from worker.scoring.time_limit import within

def hang(window):
    {hang}

def quick(window):
    return window.upper()

print(within(1, quick)("scored"), flush=True)
within(1, hang)("some words of a comment")
print("went on")
"""
# A call through PyDLL keeps Python's lock: no other thread runs before it returns.
HANGS = {
    "with the lock free": "time.sleep(60)",
    "with the lock held": "ctypes.PyDLL(None).sleep(60)",
}


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script to its end."""
    command = [sys.executable, "-c", script]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
    )


@pytest.mark.parametrize("hang", HANGS.values(), ids=HANGS)
def test_a_window_over_the_limit_ends_the_process_and_says_where_it_stood(hang: str) -> None:
    """Status 1 and the line that hung; what was scored in time is none the worse."""
    done = run(SCORE.format(hang=hang))

    assert (done.returncode, done.stdout) == (1, "SCORED\n")
    assert "Timeout" in done.stderr
    assert "in hang" in done.stderr
    assert "comment" not in done.stderr


def test_the_clock_stops_when_the_window_is_scored_or_its_error_leaves() -> None:
    """What comes after it may take any time."""
    done = run(
        """
import time
from worker.scoring.time_limit import time_limit, within

def fail(window):
    raise ValueError("no")

try:
    within(0.5, fail)(None)
except ValueError:
    time.sleep(1)  # only time that goes by shows that the limit was lifted
with time_limit(0.5):
    pass
time.sleep(1)
print("still here")
"""
    )

    assert (done.returncode, done.stdout) == (0, "still here\n")


@pytest.mark.parametrize("step", ["begin", "result"])
def test_work_that_goes_on_elsewhere_is_limited_where_it_is_begun_and_where_it_is_waited_for(
    step: str,
) -> None:
    """What is done between the two may take any time: it is not the engine's."""
    done = run(
        f"""
import time
from worker.begun import Begun
from worker.scoring.time_limit import each_within

def hang_in_{step}():
    time.sleep(60)

def begin(window):
    if window == "hangs" and "{step}" == "begin":
        hang_in_begin()
    return Begun(bool, hang_in_result if window == "hangs" else window.upper)

limited = each_within(0.5, begin)
begun = limited("scored")
time.sleep(1)  # only time that goes by shows that the limit was lifted
print(begun.result(), flush=True)
limited("hangs").result()
print("went on")
"""
    )

    assert (done.returncode, done.stdout) == (1, "SCORED\n")
    assert f"in hang_in_{step}" in done.stderr
