"""All threads share one heap of the C library, so that what one has freed another one uses."""

import ctypes
import os
import platform
import subprocess
import sys

import pytest

from worker.heap import share_one_heap

# Eight threads take memory at the same time; then glibc says how many heaps there are.
HEAPS = """
import ctypes
from threading import Barrier, Thread
from worker.heap import share_one_heap

share_one_heap()
libc, together = ctypes.CDLL(None), Barrier(8)

def take_memory():
    together.wait()
    libc.malloc(5_000)
    together.wait()

threads = [Thread(target=take_memory) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""

GLIBC = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="another C library has heaps of its own kind"
)


def number_of_heaps(**environment: str) -> int:
    """Return how many heaps eight threads have that take memory at the same time."""
    found = subprocess.run(
        [sys.executable, "-c", HEAPS],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.count("<heap nr=")


@GLIBC
def test_threads_share_one_heap() -> None:
    """Of its own accord glibc gives each of them one, and keeps in it what they free."""
    assert number_of_heaps() == 1


@GLIBC
def test_whoever_sets_the_number_of_heaps_has_it() -> None:
    """An operator who measured something else has the last word."""
    assert number_of_heaps(MALLOC_ARENA_MAX="3") == 3


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither musl nor macOS knows such a call."""

    def not_there(_: None) -> None:
        raise AssertionError("the C library was called")

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", not_there)

    share_one_heap()
