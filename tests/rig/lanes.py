"""How the tests are spread over processes: what shares a broker or a model stays together.

A plugin of pytest-xdist. A lane is run by one process, so that what its tests share is started
once; a process that is through with its lane takes the next one. Lanes that take minutes come
first, and the short ones fill what is left at the end.
"""

import os
from collections.abc import Mapping
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

# Each with the paths that it takes, longest first. The fault matrix waits more than it computes:
# its halves, of like length, run beside each other and beside what computes.
LANES: Final[Mapping[str, tuple[str, ...]]] = {
    "trainer": ("tests/trainer/",),
    "faults on proxied brokers": (
        "tests/faults/test_b_",
        "tests/faults/test_c_",
        "tests/faults/test_l_",
        "tests/faults/test_n_",
    ),
    "faults on a plain broker": ("tests/faults/",),
    "brokers": ("tests/integration/", "tests/broker/", "tests/demo/"),
}

# With its brokers a process takes up to 2 GB, and the lanes that take minutes are no more.
MOST_PROCESSES: Final = 4


def lane_of(nodeid: str) -> str:
    """Return the lane of a test: the first that takes its path, else its file."""
    for lane, paths in LANES.items():
        if nodeid.startswith(paths):
            return lane
    return nodeid.partition("::")[0]


class Lanes(LoadScopeScheduling):  # type: ignore[misc] # xdist ships no types
    """Hands out lanes whole: first those of LANES, then the files."""

    def _split_scope(self, nodeid: str) -> str:
        return lane_of(nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        waiting = [lane for lane in LANES if lane in self.workqueue]
        if waiting:
            self.workqueue.move_to_end(waiting[0], last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes:
    """Spread by lane, whatever `--dist` says."""
    return Lanes(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Say what `-n auto` means: one process more than there are cores, for one of them waits.

    A part of the tests that was named is run in this process: to start others takes longer.
    """
    if config.args != config.getini("testpaths"):
        return 0
    return min((os.cpu_count() or 1) + 1, MOST_PROCESSES)
