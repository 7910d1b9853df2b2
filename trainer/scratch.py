"""A folder to work in beside what it becomes; those that killed runs have left are taken away."""

import fcntl
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

BEFORE: Final = "before"  # what stood at the place, while the new takes it
RANDOM: Final = "[a-z0-9_]{8}"  # as tempfile has it; no point: `v1` must not take what is of `v1.1`
IN_THE_MAKING: Final = "in-the-making"  # locked by the one who works there, for as long as it lives


@contextmanager
def scratch_beside(out: Path) -> Iterator[Path]:
    """Give a folder on the disk of `out`, so that a rename is the last step; then take it away.

    `kill -9` takes away nothing. What it left is found by its lock, which nobody holds: it goes
    when the next one begins, and what stood at `out`, if that is gone, comes back.

    Raises:
        OSError: nothing can be written there.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{out.name}."
    ours = re.compile(re.escape(prefix) + RANDOM)
    for folder in out.parent.iterdir():
        if ours.fullmatch(folder.name) and _is_left_behind(folder):
            _clear(folder, out)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=out.parent) as name:
        scratch = Path(name)
        with (scratch / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (scratch / "lock").rename(scratch / IN_THE_MAKING)  # never seen without its lock
            yield scratch


def _is_left_behind(folder: Path) -> bool:
    try:
        with (folder / IN_THE_MAKING).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError, BlockingIOError):
        return False
    return True


def _clear(folder: Path, out: Path) -> None:
    before = folder / BEFORE
    if before.exists() and not out.exists():
        before.rename(out)
    shutil.rmtree(folder)
