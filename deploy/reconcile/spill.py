"""Rows of numbers on disk, in files by their first column: equal ones meet in one file.

So that what belongs together can be looked at a file at a time: memory is that of one file.
"""

from pathlib import Path
from typing import Final

import numpy as np

from deploy.reconcile.place import Numbers

ROWS_A_FILE: Final = 250_000
MOST_FILES: Final = 1_024
HELD_BACK: Final = 512  # rows that wait for their file to be opened


def files_for(records: int) -> int:
    """Return into how many files so many records are spread: a power of two."""
    wanted = max(1, records // ROWS_A_FILE)
    return min(MOST_FILES, 1 << (wanted - 1).bit_length())


class Spill:
    """Takes rows, and gives them back file by file, each file in the order of its rows.

    Args:
        folder: an empty one, ours alone.
        columns: numbers in a row.
        files: a power of two.
    """

    def __init__(self, folder: Path, columns: int, files: int) -> None:
        folder.mkdir()
        self._folder = folder
        self._columns = columns
        self.files = files
        self._waiting: list[list[Numbers]] = [[] for _ in range(files)]
        self._rows_waiting = [0] * files

    def add(self, rows: Numbers) -> None:
        """Take rows of int64, (n, columns)."""
        numbers = rows[:, 0] & (self.files - 1)
        order = np.argsort(numbers, kind="stable")
        rows, numbers = rows[order], numbers[order]
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        for number, part in zip(numbers[starts].tolist(), np.split(rows, starts[1:]), strict=False):
            self._waiting[number].append(part)
            self._rows_waiting[number] += len(part)
            if self._rows_waiting[number] >= HELD_BACK:
                self._write(number)

    def rows_in(self, number: int) -> int:
        """Return how many rows a file has."""
        self._write(number)
        path = self._path(number)
        return path.stat().st_size // (8 * self._columns) if path.exists() else 0

    def file(self, number: int, start: int = 0, most: int = -1) -> Numbers:
        """Return rows of a file, from one on, at most so many."""
        count = -1 if most < 0 else most * self._columns
        if not self.rows_in(number):
            return np.empty((0, self._columns), dtype=np.int64)
        found = np.fromfile(
            self._path(number), dtype=np.int64, count=count, offset=start * 8 * self._columns
        )
        return found.reshape(-1, self._columns)

    def _write(self, number: int) -> None:
        if waiting := self._waiting[number]:
            with self._path(number).open("ab") as file:
                file.write(np.concatenate(waiting).tobytes())
            self._waiting[number], self._rows_waiting[number] = [], 0

    def _path(self, number: int) -> Path:
        return self._folder / str(number)
