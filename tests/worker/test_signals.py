"""SIGTERM and SIGINT: when they are heeded, and what a second one does."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import TidegateError
from worker.run import REPEATED_S, heed_signals, run_worker
from worker.settings import Settings
from worker.shared import Stop

ASKED = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Give the handlers back that pytest needs."""
    handlers = {number: signal.getsignal(number) for number in ASKED}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_signal_finds_its_handler_before_anything_is_opened(tmp_path: Path) -> None:
    """As PID 1 a process without one is deaf, and a model takes its time to load."""
    before = [signal.getsignal(number) for number in ASKED]

    with pytest.raises(TidegateError):  # there is no bundle
        run_worker(Settings(bundle=str(tmp_path)))

    assert all(signal.getsignal(n) is not old for n, old in zip(ASKED, before, strict=True))


@pytest.mark.parametrize("number", ASKED)
def test_a_second_signal_ends_the_process_at_once_as_pid_1_too(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel spares PID 1 what it sends itself: the process must end by itself then."""
    stop = Stop(1)
    sent: list[int] = []
    ended: list[int] = []
    heed_signals(stop)
    signal.raise_signal(number)
    assert stop.is_set()
    monkeypatch.setattr(stop, "set_for_s", lambda: REPEATED_S + 1)
    monkeypatch.setattr(os, "kill", lambda _, given: sent.append(given))
    monkeypatch.setattr(os, "_exit", ended.append)

    signal.raise_signal(number)

    assert sent == [number]
    assert ended == [128 + number]
