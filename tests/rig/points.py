"""Fail-points: what befalls a stub worker, and at which point of a window's way.

    KILL_AT=half_produced KILL_AFTER=3 python -m rig.stub_worker

    KILL    SIGKILL to itself
    STOP    SIGSTOP to itself; whoever waits for that sends SIGCONT
    RAISE   an error that nobody foresaw
    HANG    the thread never turns again
    STALL   the thread stands still for STALL_S seconds
    WAIT    the thread stands still until there is a file WAIT_FOR
    OOM     the device's memory is full
    BREAK   the device is in no state to go on

Each befalls the n-th time only that the point is passed, by its …_AFTER; the first by default.
"""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Lock
from typing import Any, Final, NoReturn

from schemas.errors import ScoringError
from worker.scoring.engine import DeviceMemoryError

TICK_S: Final = 0.05

# Of the fault matrix, row P1, in the order in which a window passes them.
POINTS: Final = (
    "consumed",
    "tokenised",
    "scored",
    "begun",
    "half_produced",
    "offsets_sent",
    "committing",
    "committed",
)


class InjectedError(Exception):
    """An error that nobody foresaw."""


class Points:
    """What befalls at which point, as the environment says."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._lock = Lock()
        stall_s = float(environment.get("STALL_S", "0"))
        wait_for = Path(environment.get("WAIT_FOR", os.devnull))
        deeds: dict[str, Callable[[], None]] = {
            "KILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
            "STOP": lambda: os.kill(os.getpid(), signal.SIGSTOP),
            "RAISE": _raise(InjectedError("a fault of this test")),
            "HANG": lambda: _stand_still(None),
            "STALL": lambda: _stand_still(stall_s),
            "WAIT": lambda: _wait_for(wait_for),
            "OOM": _raise(DeviceMemoryError("stub: out of memory")),
            "BREAK": _raise(ScoringError("stub: AcceleratorError")),
        }
        self._set = [
            _Set(environment[f"{name}_AT"], int(environment.get(f"{name}_AFTER", "1")), deed)
            for name, deed in deeds.items()
            if f"{name}_AT" in environment
        ]

    def are_set_at(self, point: str) -> bool:
        """Say whether anything is still to befall there."""
        return any(each.point == point and each.left > 0 for each in self._set)

    def passed(self, point: str) -> None:
        """Be at a point."""
        for each in self._set:
            if each.point == point:
                with self._lock:
                    each.left -= 1
                if each.left == 0:
                    each.deed()

    def after(self, act: Callable[..., Any], point: str) -> Callable[..., Any]:
        """Wrap a call, with the point behind it."""

        def wrapped(*args: Any) -> Any:
            result = act(*args)
            self.passed(point)
            return result

        return wrapped


class _Set:
    """One fault that waits for its time."""

    def __init__(self, point: str, left: int, deed: Callable[[], None]) -> None:
        self.point = point
        self.left = left
        self.deed = deed


def _raise(error: Exception) -> Callable[[], NoReturn]:
    def deed() -> NoReturn:
        raise error

    return deed


def _wait_for(file: Path) -> None:
    while not file.exists():
        _stand_still(TICK_S)


def _stand_still(seconds: float | None) -> None:
    Event().wait(seconds)
