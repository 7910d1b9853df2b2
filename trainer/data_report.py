"""What the data is like, before anything is learnt from it: figures, never a comment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from trainer import duplicates
from trainer.data import Indices, LabelledFile, Rows, is_set
from trainer.split import Place, Split

PERCENTILES: Final = (5, 25, 50, 75, 95, 99, 100)
BINS: Final = 40
TOKENISED: Final = 5_000  # comments at most, drawn by chance: the percentiles need no more

PLACE_NAMES: Final = {
    Place.TRAIN: "train",
    Place.VALIDATION: "validation",
    Place.TEST: "test",
    Place.EVALUATION_ONLY: "near evaluation-only",
    Place.REPEATED: "repeated",
    Place.NEAR_HELD_OUT: "near held-out",
}

Counts = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """Rows of which a label is known, is set (0.5 and more), and is neither 0 nor 1."""

    known: int
    positive: int
    fractions: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long comments are.

    Attributes:
        unit: characters or tokens.
        comments: how many were measured.
        percentiles: by their number; "100" is the longest.
        edges: [bins + 1] of the histogram, growing by a factor.
        counts: [bins].
    """

    unit: str
    comments: int
    percentiles: Mapping[str, int]
    edges: Sequence[float]
    counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class FileFigures:
    """One file: its rows, where they went, and their labels."""

    name: str
    weight: float
    rows: int
    places: Mapping[str, int]
    labels: Mapping[str, LabelFigures]
    characters: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DataReport:
    """All figures.

    Attributes:
        files: in their order.
        parts: the labels of each part of the split.
        together: [labels][labels] rows of the parts that have both labels set.
        asked: [labels][labels] rows that have the first set and of which the second is known.
        exact: [files][files] rows of the first whose text, reformattings alike, stands in the
            second; of a file and itself, whose text stands in another row of it.
        near: the same of near duplicates.
        conflicts: by label, texts that stand there more than once and disagree on it.
        leaks: by evaluation-only file, rows near one of its texts; they are in no part.
        characters: of all rows.
        tokens: of some of them; None without a tokenizer.
        fingerprint: of the split.
        held_out_fingerprint: of validation and test alone.
    """

    files: Sequence[FileFigures]
    parts: Mapping[str, Mapping[str, LabelFigures]]
    part_rows: Mapping[str, int]
    labels: Sequence[str]
    together: Sequence[Sequence[int]]
    asked: Sequence[Sequence[int]]
    exact: Sequence[Sequence[int]]
    near: Sequence[Sequence[int]]
    conflicts: Mapping[str, int]
    leaks: Mapping[str, int]
    characters: Lengths
    tokens: Lengths | None
    fingerprint: str
    held_out_fingerprint: str


def data_report(
    files: Sequence[LabelledFile], rows: Rows, split: Split, tokenizer: Tokenizer | None = None
) -> DataReport:
    """Take the figures.

    Args:
        files: those that were read, in their order.
        rows: what was read from them.
        split: of these rows.
        tokenizer: to measure lengths in tokens, too.
    """
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    labels = np.concatenate([part.labels for part in parts.values()])
    positive, known = is_set(labels).astype(np.intp), np.isfinite(labels).astype(np.intp)
    characters = np.asarray([len(text) for text in rows.texts], np.intp)
    keys = _numbered([duplicates.exact_key(text) or text for text in rows.texts])
    groups = np.unique(split.groups, return_inverse=True)[1]
    return DataReport(
        files=[_file_figures(i, file, rows, split, characters) for i, file in enumerate(files)],
        parts={name: _label_figures(part) for name, part in parts.items()},
        part_rows={name: len(part) for name, part in parts.items()},
        labels=rows.names,
        together=(positive.T @ positive).tolist(),
        asked=(positive.T @ known).tolist(),
        exact=_shared(keys, rows.files, len(files)).tolist(),
        near=_shared(groups, rows.files, len(files)).tolist(),
        conflicts=_conflicts(keys, rows),
        leaks=dict(split.leaks),
        characters=_lengths("characters", characters),
        tokens=None if tokenizer is None else _token_lengths(rows.texts, tokenizer),
        fingerprint=split.fingerprint,
        held_out_fingerprint=split.held_out_fingerprint,
    )


def _file_figures(
    position: int, file: LabelledFile, rows: Rows, split: Split, characters: Counts
) -> FileFigures:
    its = np.flatnonzero(rows.files == position)
    places = split.places[its]
    return FileFigures(
        name=file.path.name,
        weight=file.weight,
        rows=len(its),
        places={name: int((places == place).sum()) for place, name in PLACE_NAMES.items()},
        labels=_label_figures(rows.take(its)),
        characters=_percentiles(characters[its]),
    )


def _label_figures(rows: Rows) -> dict[str, LabelFigures]:
    return {
        name: LabelFigures(
            known=int(np.isfinite(column).sum()),
            positive=int(is_set(column).sum()),
            fractions=int(((column > 0) & (column < 1)).sum()),
        )
        for name, column in zip(rows.names, rows.labels.T, strict=True)
    }


def _numbered(keys: Sequence[str]) -> Indices:
    numbers: dict[str, int] = {}
    return np.asarray([numbers.setdefault(key, len(numbers)) for key in keys], np.intp)


def _shared(group: Indices, file: Indices, files: int) -> Counts:
    """Count, for each two files, the rows of the first that have another of their group there.

    Args:
        group: [n] numbers from 0.
        file: [n] the position of each row's file.
        files: how many there are.
    """
    in_group = np.zeros((int(group.max(initial=-1)) + 1, files), np.intp)
    np.add.at(in_group, (group, file), 1)
    others = in_group[group] - np.eye(files, dtype=np.intp)[file]
    shared = np.zeros((files, files), np.intp)
    np.add.at(shared, file, (others > 0).astype(np.intp))
    return shared


def _conflicts(keys: Indices, rows: Rows) -> dict[str, int]:
    """Count, by label, the texts of which some rows have it set and others have it not set."""
    conflicts = {}
    for name, column in zip(rows.names, rows.labels.T, strict=True):
        said = np.zeros((int(keys.max(initial=-1)) + 1, 2), np.bool_)
        known = np.isfinite(column)
        said[keys[known], is_set(column[known]).astype(np.intp)] = True
        conflicts[name] = int(said.all(axis=1).sum())
    return conflicts


def _percentiles(lengths: Counts) -> dict[str, int]:
    if not len(lengths):
        return {}
    found = np.percentile(lengths, PERCENTILES, method="inverted_cdf")
    return {str(p): int(length) for p, length in zip(PERCENTILES, found, strict=True)}


def _lengths(unit: str, lengths: Counts) -> Lengths:
    edges = np.geomspace(1, max(2, int(lengths.max(initial=2))) + 1, BINS + 1)
    counts, _ = np.histogram(lengths, edges)
    return Lengths(
        unit, len(lengths), _percentiles(lengths), edges.round(2).tolist(), counts.tolist()
    )


def _token_lengths(texts: Sequence[str], tokenizer: Tokenizer) -> Lengths:
    chosen = np.random.default_rng(0).permutation(len(texts))[:TOKENISED]
    whole = Tokenizer.from_str(tokenizer.to_str())
    whole.no_truncation()
    whole.no_padding()
    sound = [texts[i].encode(errors="replace").decode() for i in chosen]
    found = whole.encode_batch_fast(sound)
    return _lengths("tokens", np.asarray([len(encoding.ids) for encoding in found], np.intp))
