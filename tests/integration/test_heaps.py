"""The worker that users start has one heap for all its threads; see `worker.heap`."""

import platform
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from rig.stream import Stream
from worker.settings import SHIPPED_BUNDLE

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="heaps are of another kind"),
]

HEAP: Final = 64 * 2**20  # glibc begins a thread's heap at a multiple of so many bytes


def test_no_thread_of_a_worker_has_a_heap_of_its_own(make_stream: Callable[[int], Stream]) -> None:
    """Else six of them kept 250 MB that nobody used any more (an hour with a fault every 3.5 s)."""
    stream = make_stream(1)
    stream.produce_comments(range(100))
    with stream.worker("0", "deploy.cli", "worker", TIDEGATE_BUNDLE=SHIPPED_BUNDLE) as worker:
        stream.wait_until_judged()
        found = list(heaps_of_threads(worker.process.pid))
        assert worker.stop() == 0

    assert found == []


def heaps_of_threads(pid: int) -> Iterator[str]:
    """Yield where a process has memory that lies as a thread's heap does."""
    lines = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    for (span, rights, *_), (rest, rights_of_rest, *_) in pairwise(lines):
        begin, end = (int(bound, 16) for bound in span.split("-"))
        is_whole = rest == f"{end:x}-{begin + HEAP:x}"  # what is not used yet is reserved
        if begin % HEAP == 0 and (rights, rights_of_rest) == ("rw-p", "---p") and is_whole:
            yield span
