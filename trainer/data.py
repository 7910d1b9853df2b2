"""Labelled files to rows: texts, and for each label 0, 1, a fraction, or not known.

A label that a file does not have, or leaves blank, is not known: NaN, never 0.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from schemas.errors import CommentsFileError, TrainingError
from schemas.labels import LABELS

TEXT_COLUMNS: Final = ("comment_text", "text", "comment", "tweet")
JSON_LINES: Final = (".jsonl", ".ndjson")

# Never trained on, tuned on or used to choose a threshold (data/SOURCES.md, "Rules").
EVALUATION_ONLY: Final = (
    "wikipedia-toxicity-*.csv",
    "bias-madlibs-*.csv",
    "youtube-toxic-*.csv",
    "perspective-scores-*.csv",
)

HALF: Final = 0.5

Labels = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Rows:
    """Comments with what is known of their labels.

    Attributes:
        texts: the n comments as their authors wrote them.
        labels: [n, labels] float32 in 0..1; NaN where a label is not known.
        names: the labels' names, in the order of the columns.
    """

    texts: list[str]
    labels: Labels
    names: tuple[str, ...] = LABELS

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.texts)

    def take(self, indices: Sequence[int] | npt.NDArray[np.intp]) -> "Rows":
        """Return the rows at `indices`, in that order."""
        return Rows([self.texts[i] for i in indices], self.labels[np.asarray(indices, np.intp)])


def is_set(labels: Labels) -> npt.NDArray[np.bool_]:
    """Say which labels are set: at least half of those who were asked. Not known is not set."""
    return labels >= HALF


def read_files(paths: Sequence[Path]) -> Rows:
    """Read labelled CSV and JSON Lines files, one after the other.

    Raises:
        CommentsFileError: a file is missing, not UTF-8, or has no column of texts.
        TrainingError: a file may not be trained on, has no label, a label that is neither blank
            nor in 0..1, or an empty text; named by file and line.
    """
    parts = [_read_file(path) for path in paths]
    if not parts:
        raise TrainingError("no labelled file was given", "name one or more files with --data")
    return Rows(
        [text for part in parts for text in part.texts],
        np.concatenate([part.labels for part in parts]),
    )


def evaluation_texts(beside: Sequence[Path]) -> list[str]:
    """Return the texts of the evaluation-only files that lie in the folders of `beside`."""
    folders = dict.fromkeys(path.resolve().parent for path in beside)
    files = [file for folder in folders for glob in EVALUATION_ONLY for file in folder.glob(glob)]
    return [
        str(row[column] or "")
        for file in sorted(files)
        for column in [_text_column(file)]
        for _, row in _records(file)
    ]


def is_evaluation_only(path: Path) -> bool:
    """Say whether a file is one of those that are kept for judging models."""
    return any(path.match(glob) for glob in EVALUATION_ONLY)


def _read_file(path: Path) -> Rows:
    if is_evaluation_only(path):
        raise TrainingError(
            f"{path.name} is for evaluation only and may not be trained on",
            "take it out of --data; `tidegate evaluate` is where it belongs",
        )
    column = _text_column(path)
    texts, labels, seen = [], [], set[str]()
    for line, record in _records(path):
        seen |= record.keys()
        text = record.get(column)
        if not isinstance(text, str) or not text.strip():
            raise TrainingError(f"{path}, line {line}: {column} is empty", "take the row out")
        texts.append(text)
        labels.append([_label(record.get(name), name, path, line) for name in LABELS])
    if not seen & set(LABELS):
        raise TrainingError(
            f"{path}: no label column; found {', '.join(sorted(seen)) or 'no row'}",
            f"name at least one column {', '.join(LABELS)}",
        )
    return Rows(texts, np.asarray(labels, np.float32).reshape(len(texts), len(LABELS)))


def _label(value: Any, name: str, path: Path, line: int) -> float:
    """Return a label as a fraction, NaN where it is not known."""
    if value is None or value == "":
        return float("nan")
    try:
        fraction = float(value)
    except (TypeError, ValueError):
        fraction = float("nan")
    if not 0 <= fraction <= 1:
        raise TrainingError(
            f"{path}, line {line}: {name} is neither blank nor a number from 0 to 1",
            "mend the row; a label that is not known is left blank",
        )
    return fraction


def _text_column(path: Path) -> str:
    found = next((record for _, record in _records(path)), {})
    for column in TEXT_COLUMNS:
        if column in found:
            return column
    raise CommentsFileError(
        f"{path}: no column of texts; found {', '.join(found) or 'no row'}",
        f"name one column {' or '.join(TEXT_COLUMNS)}",
    )


def _records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield each record of a file with the line on which it ends, from 1."""
    text = _decoded(path)
    if path.suffix in JSON_LINES:
        yield from _json_lines(path, text)
        return
    csv.field_size_limit(2**31 - 1)
    reader = csv.DictReader(io.StringIO(text, newline=""))
    for record in reader:
        if None in record or None in record.values():
            raise CommentsFileError(
                f"{path}, line {reader.line_num}: expected {len(reader.fieldnames or ())} columns",
                "the row is broken; quote texts that hold commas or line breaks",
            )
        yield reader.line_num, record


def _json_lines(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, raw in enumerate(text.split("\n"), start=1):
        if not raw.strip():
            continue
        try:
            record = json.loads(raw)
        except json.JSONDecodeError:
            record = None  # the error itself would quote the line
        if not isinstance(record, dict):
            raise CommentsFileError(f"{path}, line {line}: not a JSON object", "one object a line")
        yield line, record


def _decoded(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CommentsFileError(f"{path}: {error.strerror}", "look at the path") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        # `from None`: the cause would carry the whole file in its arguments
        raise CommentsFileError(f"{path}, line {line}: not UTF-8", "convert it to UTF-8") from None
