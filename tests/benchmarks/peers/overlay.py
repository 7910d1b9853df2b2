"""Peers that are not in tidegate's lock: each with a lock of its own, laid over the full install.

What a peer needs is installed into `.venv-peers/NAME` by its hashes, once, and stands before the
full install on the path of that peer's process, which takes from there what both share: torch
alone is gigabytes. The repository's own environment stays as it is.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

LOCKS: Final = Path(__file__).parent / "requirements"
FOLDER: Final = Path(__file__).parents[3] / ".venv-peers"
LONGEST: Final = 200  # characters of what a peer said
STAMP: Final = "tidegate-lock"  # in the folder: the hash of the lock that it was made from


class NotInstalledError(Exception):
    """A peer could not be installed; the text is pip's last word on it."""


def overlay(name: str) -> Path:
    """Return the folder of a peer's packages, and install them first where that is due.

    Raises:
        NotInstalledError: pip cannot install them.
    """
    lock, folder = LOCKS / f"{name}.txt", FOLDER / name
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text() == digest:
        return folder
    print(f"installing {name} into {folder.relative_to(FOLDER.parent)}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    done = subprocess.run(
        # without dependencies: the lock has them all, save those of the full install
        [*pip, "--require-hashes", "--no-deps", "--target", folder, "-r", lock],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NotInstalledError(f"pip: {last_line(done.stderr)}")
    stamp.write_text(digest)
    return folder


def versions() -> dict[str, str]:
    """Return the peers' versions; what each needs beside it stands in its lock."""
    asked = [path.read_text().strip() for path in sorted(LOCKS.glob("*.in"))]
    return {
        name.partition("[")[0]: version for name, _, version in (a.partition("==") for a in asked)
    }


def last_line(text: str) -> str:
    """Return the last line that says anything, or as much of it as a table bears."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:LONGEST] if lines else "it said nothing"
