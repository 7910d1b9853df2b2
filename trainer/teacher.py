"""The teacher file: what an ensemble says of each text, as a table that reads like a labelled one.

    {"comment_text": …, "toxic": 0.91, …, "identity_hate": 0.02, "held_out_fingerprint": …}

The last column says which rows the members held out; it is left out where that is not known.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from schemas.errors import TrainingError
from schemas.labels import LABELS
from trainer.archives import contents
from trainer.bootstrap import Floats
from trainer.columns import Reader
from trainer.data import Labels
from trainer.files import JSON_LINES, PARQUET, records
from trainer.stop import ended_as_by_an_error

TEXT: Final = "comment_text"
HELD_OUT: Final = "held_out_fingerprint"
DECIMALS: Final = 6  # of a probability: a millionth moves no threshold


@dataclass(frozen=True, slots=True)
class Teacher:
    """What was said of each text.

    Attributes:
        path: of the file.
        labels: by text, [labels] float32 in 0..1 in the order of LABELS, NaN where not said.
        held_out: the fingerprint of the rows that all members held out; None: not known.
    """

    path: Path
    labels: dict[str, Labels]
    held_out: str | None

    @property
    def fingerprint(self) -> str:
        """16 hex digits of a hash over texts and labels, whatever their order."""
        lines = (
            hashlib.sha256(text.encode(errors="surrogatepass") + labels.tobytes()).digest()
            for text, labels in self.labels.items()
        )
        return hashlib.sha256(b"".join(sorted(lines))).hexdigest()[:16]


def read_teacher(path: Path) -> Teacher:
    """Read a teacher file, in any format and packing that a labelled file may have.

    Raises:
        CommentsFileError: it is missing, broken or has no column of texts.
        TrainingError: it has none of our labels, one that is not in 0..1, a row of which
            nothing is said, a text twice, or rows of teachers that held out different rows.
    """
    labels: dict[str, Labels] = {}
    held_out = set[str]()
    for stored in contents(path):
        reader = Reader(stored.name)
        for record in records(stored):
            text = reader.text(record)
            if text in labels:
                raise TrainingError(
                    f"{record.place}: its text stands there before", "take one of the rows out"
                )
            labels[text] = np.asarray(reader.labels(record), np.float32)
            held_out.add(str(record.values.get(HELD_OUT) or ""))
        reader.check_columns()
    if len(held_out) > 1:
        raise TrainingError(
            f"{path}: {HELD_OUT} is not the same in all rows",
            "give one file that `tidegate ensemble` wrote, not several put together",
        )
    return Teacher(path, labels, held_out.pop() or None)


def refuse_out(out: Path, read: Sequence[Path]) -> None:
    """Look whether a teacher may be written to `out`, before hours go into making one.

    Raises:
        TrainingError: it has another ending, is there already, or lies in no folder that can be
            written.
    """
    if not out.name.endswith((*JSON_LINES, PARQUET)):
        raise TrainingError(
            f"{out}: neither JSON Lines nor Parquet", "end it in .jsonl or .parquet"
        )
    if out.exists():
        what = "one of the files to be read" if out.resolve() in read else "there already"
        raise TrainingError(f"{out} is {what}", "choose another --out, or take it away")
    if not out.parent.is_dir():
        raise TrainingError(f"{out.parent} is no folder", "make it, or choose another --out")
    try:
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise TrainingError(
            f"{out.parent} cannot be written: {error.strerror}", "choose another --out"
        ) from error


def write_teacher(out: Path, texts: Sequence[str], scores: Floats, held_out: str | None) -> None:
    """Write a teacher file, whole or not at all, for its owner's eyes only (mode 0600).

    Args:
        out: the file; JSON Lines, or Parquet by its ending.
        texts: n texts, each once.
        scores: [n, labels] probabilities in the order of LABELS.
        held_out: as `held_out_by` gives it.

    Raises:
        TrainingError: it cannot be written.
    """
    write = _write_parquet if out.name.endswith(PARQUET) else _write_json_lines
    known = {HELD_OUT: held_out} if held_out else {}
    rows = (
        {TEXT: text} | dict(zip(LABELS, row, strict=True)) | known
        for text, row in zip(texts, np.round(scores, DECIMALS).tolist(), strict=True)
    )
    with _whole(out) as file:
        write(file, rows)


def _write_json_lines(file: IO[bytes], rows: Iterator[dict[str, Any]]) -> None:
    for row in rows:
        file.write(json.dumps(row, allow_nan=False).encode() + b"\n")


def _write_parquet(file: IO[bytes], rows: Iterator[dict[str, Any]]) -> None:
    import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415 - slow, seldom needed
    from pyarrow import parquet  # noqa: PLC0415

    try:
        table = pa.Table.from_pylist(list(rows))
    except UnicodeEncodeError:  # left behind here: it holds the text
        raise TrainingError(
            "a text has half a surrogate pair in it, which Parquet cannot hold",
            "end --out in .jsonl",
        ) from None
    parquet.write_table(table, file)


@contextmanager
def _whole(out: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes its name only when all of it is on the disk."""
    unfinished: Path | None = None
    try:
        # made with mode 0600
        with (
            ended_as_by_an_error(out),
            tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}.", delete=False) as f,
        ):
            unfinished = Path(f.name)
            yield f.file
            f.flush()
            os.fsync(f.fileno())
        unfinished.replace(out)
    except OSError as error:
        raise TrainingError(
            f"{out} cannot be written: {error.strerror}", "look at its rights and the free space"
        ) from error
    finally:
        if unfinished:
            unfinished.unlink(missing_ok=True)
