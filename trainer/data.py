"""Labelled files to rows: texts, and for each label 0, 1, a fraction, or not known.

A label that a file does not have, or leaves blank, is not known: NaN, never 0. What a file may
be is said in `archives.py`, `files.py` and `kaggle.py`, what its columns may be in `columns.py`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.errors import CommentsFileError, TrainingError
from schemas.labels import LABELS
from trainer import kaggle
from trainer.archives import contents, without_packing
from trainer.columns import LABEL_COLUMNS, Reader, text_column, text_of
from trainer.files import Record, records

# Never trained on, tuned on or used to choose a threshold (data/SOURCES.md, "Rules").
EVALUATION_ONLY: Final = (
    "wikipedia-toxicity-*.csv",
    "bias-madlibs-*.csv",
    "youtube-toxic-*.csv",
    "perspective-scores-*.csv",
)

HALF: Final = 0.5
MOST_WEIGHT: Final = 100.0

Labels = npt.NDArray[np.float32]
Weights = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A file to learn from.

    Attributes:
        path: of a CSV, JSON Lines or Parquet file, plain or packed.
        weight: by which the loss of each of its rows is multiplied.
    """

    path: Path
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Rows:
    """Comments with what is known of their labels.

    Attributes:
        texts: the n comments as their authors wrote them.
        labels: [n, labels] float32 in 0..1; NaN where a label is not known.
        names: the labels' names, in the order of the columns.
        weights: [n] float32, by which a row's loss is multiplied; 1 if not given.
        files: [n] the position of each row's file among those that were read; 0 if not given.
    """

    texts: list[str]
    labels: Labels
    names: tuple[str, ...] = LABELS
    weights: Weights = field(default_factory=lambda: np.empty(0, np.float32))
    files: Indices = field(default_factory=lambda: np.empty(0, np.intp))

    def __post_init__(self) -> None:
        if not len(self.weights):
            object.__setattr__(self, "weights", np.ones(len(self.texts), np.float32))
        if not len(self.files):
            object.__setattr__(self, "files", np.zeros(len(self.texts), np.intp))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.texts)

    @classmethod
    def unlabelled(cls, texts: Sequence[str], names: Iterable[str]) -> "Rows":
        """Return texts of which no label is known."""
        names = tuple(names)
        return cls(list(texts), np.full((len(texts), len(names)), np.nan, np.float32), names)

    def take(self, indices: Sequence[int] | Indices) -> "Rows":
        """Return the rows at `indices`, in that order."""
        at = np.asarray(indices, np.intp)
        texts = [self.texts[i] for i in indices]
        return Rows(texts, self.labels[at], self.names, self.weights[at], self.files[at])


def is_set(labels: Labels) -> npt.NDArray[np.bool_]:
    """Say which labels are set: at least half of those who were asked. Not known is not set."""
    return labels >= HALF


def spoken_of(labels: Labels) -> list[bool]:
    """Say of each label, [labels], whether any row knows it."""
    return [bool(np.isfinite(label).any()) for label in labels.T]


def labelled_file(argument: str) -> LabelledFile:
    """Read `FILE` or `FILE@WEIGHT`, as `--data` takes it; a file that has an @ in its name wins.

    Raises:
        TrainingError: the weight is not a number above 0 and at most MOST_WEIGHT.
    """
    name, at, weight = argument.rpartition("@")
    if not at or "/" in weight or Path(argument).exists():
        return LabelledFile(Path(argument))
    try:
        return checked(LabelledFile(Path(name), float(weight)))
    except ValueError:
        raise _no_weight(name, weight) from None


def checked(file: LabelledFile) -> LabelledFile:
    """Return a file whose weight is in bounds.

    Raises:
        TrainingError: it is not.
    """
    if not 0 < file.weight <= MOST_WEIGHT:
        raise _no_weight(str(file.path), f"{file.weight:g}")
    return file


def read_files(files: Sequence[LabelledFile | Path]) -> Rows:
    """Read labelled files to learn from, one after the other; a mere path weighs 1.

    Raises:
        CommentsFileError: a file is missing, cannot be unpacked, is not UTF-8, has a broken row
            or no column of texts.
        TrainingError: a file may not be trained on, has no label, a label that is neither blank
            nor in 0..1, an empty text or a row of which no label is known; named by file and
            line.
    """
    for file in files:
        _refuse_evaluation_only(_as_file(file).path)
    return read_files_to_judge_by(files)


def read_files_to_judge_by(files: Sequence[LabelledFile | Path]) -> Rows:
    """Read labelled files as `read_files` does, those that are for evaluation only, too."""
    if not files:
        raise TrainingError("no labelled file was given", "name one or more files with --data")
    parts = [_read_file(checked(_as_file(file)), i) for i, file in enumerate(files)]
    return Rows(
        [text for part in parts for text in part.texts],
        np.concatenate([part.labels for part in parts]),
        LABELS,
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.files for part in parts]),
    )


def read_texts(paths: Sequence[Path]) -> list[str]:
    """Read the texts of files whose labels, if there are any, are of no interest.

    Raises:
        CommentsFileError: a file cannot be read, or has no column of texts.
        TrainingError: a file may not be trained on, or has an empty text.
    """
    for path in paths:
        _refuse_evaluation_only(path)
    return [text for path in paths for text in _texts(path)]


def evaluation_texts(beside: Sequence[LabelledFile | Path]) -> dict[str, list[str]]:
    """Return the texts of the evaluation-only files in the folders of `beside`, by file.

    Raises:
        CommentsFileError: one of them cannot be read.
    """
    folders = dict.fromkeys(_as_file(file).path.resolve().parent for file in beside)
    files = (file for folder in folders if folder.is_dir() for file in sorted(folder.iterdir()))
    texts: dict[str, list[str]] = {}
    for file in filter(is_evaluation_only, files):
        try:
            found = [str(record.values[column] or "") for column, record in _with_column(file)]
        except CommentsFileError as error:
            raise CommentsFileError(
                f"{error.what} (it lies beside the labelled files and is for evaluation only: what "
                "is in it, or near it, is not learnt from)",
                "mend it, or take it out of the folder",
            ) from error
        texts.setdefault(file.name, []).extend(found)
    return texts


def is_evaluation_only(path: Path) -> bool:
    """Say whether a file, packed or not, is one of those that are kept for judging models."""
    plain = without_packing(path.name).lower()
    return any(fnmatchcase(plain, glob) for glob in EVALUATION_ONLY)


def _as_file(file: LabelledFile | Path) -> LabelledFile:
    return file if isinstance(file, LabelledFile) else LabelledFile(file)


def _no_weight(name: str, weight: str) -> TrainingError:
    return TrainingError(
        f"{name}: its weight is {weight}, not a number above 0 and at most {MOST_WEIGHT:g}",
        "write FILE@WEIGHT, such as more.csv@0.3",
    )


def _refuse_evaluation_only(path: Path) -> None:
    for name in (path, *(Path(table.name) for table in contents(path))):
        if is_evaluation_only(name):
            raise TrainingError(
                f"{name.name} is for evaluation only and may not be trained on",
                "take it out of --data; `tidegate evaluate` is where it belongs",
            )


def _read_file(file: LabelledFile, position: int) -> Rows:
    texts: list[str] = []
    labels: list[list[float]] = []
    for stored, found in kaggle.labelled_tables(file.path, LABEL_COLUMNS):
        reader = Reader(stored.name)
        for record in found:
            texts.append(reader.text(record))
            labels.append(reader.labels(record))
        reader.check_columns()
    return Rows(
        texts,
        np.asarray(labels, np.float32).reshape(len(texts), len(LABELS)),
        LABELS,
        np.full(len(texts), file.weight, np.float32),
        np.full(len(texts), position, np.intp),
    )


def _texts(path: Path) -> Iterator[str]:
    return (text_of(record, column) for column, record in _with_column(path))


def _with_column(path: Path) -> Iterator[tuple[str, Record]]:
    """Yield the records of a file, each with the name of the column of texts."""
    for stored in kaggle.without_companions(contents(path)):
        column = ""
        for record in records(stored):
            column = column or text_column(stored.name, record.values)
            yield column, record
