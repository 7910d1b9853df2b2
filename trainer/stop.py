"""A wish to stop: noticed between two steps, so that nothing is left half done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from trainer.say import say

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Which signal asked to stop, if one did.

    Attributes:
        signal: its number; 0 while nobody asked.
    """

    def __init__(self) -> None:
        self.signal = 0

    def leave(self, done: int, total: int) -> NoReturn:
        """End the process, with the shell's exit status for the signal.

        Raises:
            SystemExit: always.
        """
        # Another process of the run may have been told, and this one not yet.
        number = signal.Signals(self.signal or signal.SIGTERM)
        say(f"stopped by {number.name} after step {done}/{total}; the same command goes on")
        raise SystemExit(128 + number)

    @classmethod
    @contextmanager
    def watching(cls) -> Iterator["Stop"]:
        """Turn SIGTERM and Ctrl-C into a flag; the second one ends the process as ever."""
        stop = cls()
        if threading.current_thread() is not threading.main_thread():
            yield stop  # only the main thread may set handlers
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}

        def note(number: int, _: FrameType | None) -> None:
            stop.signal = number
            for each, handler in before.items():
                signal.signal(each, handler)

        for number in SIGNALS:
            signal.signal(number, note)
        try:
            yield stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def ended_as_by_an_error(out: Path) -> Iterator[None]:
    """Let SIGTERM end the process as Ctrl-C does: through every `finally`, which cleans up.

    Args:
        out: what is written meanwhile, for the one who waits for it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return

    def leave(number: int, _: FrameType | None) -> NoReturn:
        say(f"stopped by {signal.Signals(number).name} before {out} was whole: it is as it was")
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
