"""A process that lives no longer than the one that asked for it, whatever ends that one.

Between the two stands a keeper, this file run as a program:

    python keeper.py --log FILE [--remove FOLDER] -- COMMAND ...

The asker holds the other end of its stdin. When that closes, because it was closed or
because the asker died of whatever cause, the keeper stops the command: SIGTERM first, SIGKILL
when it takes too long. stdout gets one line, the command's process id. `--remove` names a
temporary folder that goes too when the command was stopped so. The keeper ends with 0 if it
was asked to stop and the command then ended well, else as the command did.

Standard library only: it must start fast and outlive its asker.
"""

import argparse
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Final

# How often the keeper looks at the command. The end of stdin wakes it at once.
TICK_S: Final = 0.2
# How long it may take to end after SIGTERM. A worker drains for 20 s at most, Kafka for one.
STOP_S: Final = 25.0
LOG_LINES: Final = 8
LONGEST_LINE: Final = 300

# Source: linux/prctl.h.
PR_SET_PDEATHSIG: Final = 1


class Kept:
    """The asker's end: starts a command in the hands of a keeper.

    The command gets a session of its own, so that a Ctrl-C here is ours to pass on.

    Args:
        command: what to run.
        log: takes its stdout and stderr.
        env: its environment; None: ours.
        remove: a temporary folder that goes when the command was stopped or we are gone.
        pass_fds: open files that it inherits.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        remove: Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.log = log
        options = ["--log", str(log), *(["--remove", str(remove)] if remove else [])]
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, *options, "--", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        first_line = self._keeper.stdout.readline() if self._keeper.stdout else ""
        self.pid = int(first_line or 0)

    def ended(self, within_s: float = 0) -> int | None:
        """Wait so long for the command to end; return its exit status, None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self._keeper.wait(within_s)
        return None

    def stop(self) -> int:
        """Stop the command and return its exit status when it is gone; do nothing if it is."""
        if self._keeper.stdin:
            self._keeper.stdin.close()
        try:
            status = self._keeper.wait(STOP_S * 2)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            status = self._keeper.wait()
        if self._keeper.stdout:
            self._keeper.stdout.close()
        if status < 0:  # a killed keeper cannot stop the command; outside Linux nobody else has
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        return status

    def last_words(self) -> str:
        """Return the last lines of the command's log, indented."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        except OSError:
            lines = []
        return "\n".join(f"    {line[:LONGEST_LINE]}" for line in lines) or "    (nothing)"


def main() -> int:
    """Start the command, hold it, and return the exit status: the keeper's end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--remove")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    asked_to_stop = Event()
    _stop_on_signals(asked_to_stop)
    child = _start(arguments.command, arguments.log)
    try:
        with suppress(BrokenPipeError):  # the asker is gone already; _hold notices
            os.write(sys.stdout.fileno(), f"{child.pid}\n".encode())
        _hold(child, asked_to_stop)
    finally:
        status = _end(child)
        if arguments.remove and asked_to_stop.is_set():
            shutil.rmtree(arguments.remove, ignore_errors=True)
    if asked_to_stop.is_set() and status == -signal.SIGTERM:
        return 0
    return status if status >= 0 else 128 - status  # as a shell says it


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            close_fds=False,  # what we inherited for it
            preexec_fn=_die_with_the_keeper,  # noqa: PLW1509 - safe: the keeper has one thread
        )


def _stop_on_signals(asked_to_stop: Event) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        asked_to_stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)


def _die_with_the_keeper() -> None:
    """On Linux, have the kernel kill the command should the keeper itself be killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _hold(child: subprocess.Popen[bytes], asked_to_stop: Event) -> None:
    """Return when the command has ended, a signal came, or the asker is gone."""
    asker = os.getppid()
    while child.poll() is None and not asked_to_stop.is_set():
        readable, _, _ = select.select([sys.stdin], [], [], TICK_S)
        # A forked child of the asker may hold the pipe open after its death: look at both.
        if (readable and not os.read(sys.stdin.fileno(), 1)) or os.getppid() != asker:
            asked_to_stop.set()


def _end(child: subprocess.Popen[bytes]) -> int:
    child.terminate()
    try:
        return child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


if __name__ == "__main__":
    sys.exit(main())
