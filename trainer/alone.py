"""One run at a time in a folder: two would write over each other's checkpoints."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from schemas.errors import TrainingError

LOCK: Final = ".lock"  # held for as long as the process lives, whatever ends it


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make a folder, and keep other runs out of it meanwhile.

    Raises:
        TrainingError: another run works there, or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("w")
    except OSError as error:
        raise TrainingError(
            f"{folder} cannot be written: {error.strerror}", "give another --out"
        ) from error
    with file:
        _lock(file, folder)
        yield


def _lock(file: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise TrainingError(
            f"another run works in {folder}", "wait for its end, or give another --out"
        ) from None
