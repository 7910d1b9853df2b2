"""Rows into train, validation and test: stratified over the labels, grouped, seeded.

Validation and test are drawn among the candidates: rows of which all labels are known, from the
files that are held out from. Files beside these add rows to learn from and never move a held-out
row: the candidates are grouped and dealt as if they were alone. Rows to learn from that are near
a held-out one are left out, and so is every row that is near an evaluation-only text.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

from schemas.errors import TrainingError
from trainer import duplicates
from trainer.data import Indices, Labels, Rows, is_set

FOLDS: Final = 10
TEST_FOLDS: Final = (0, 1)  # a fifth
VALIDATION_FOLDS: Final = (2,)  # a tenth: early choice, calibration, thresholds
LEAST_GROUPS: Final = 5 * FOLDS

Mask = npt.NDArray[np.bool_]


class Place(IntEnum):
    """Where a row went."""

    TRAIN = 0
    VALIDATION = 1
    TEST = 2
    EVALUATION_ONLY = 3  # left out: near a text that is kept for judging
    REPEATED = 4  # left out: the text stands there again, better labelled
    NEAR_HELD_OUT = 5  # left out: near a row of validation or test


@dataclass(frozen=True, slots=True)
class Split:
    """The three parts, and what was left out on the way.

    Attributes:
        places: [n] the `Place` of each of the rows that were split.
        groups: [n] near duplicates have the same number.
        leaks: of each evaluation-only file, how many rows were near one of its texts.
        fingerprint: 16 hex digits of a hash over the rows of all parts, with part and weight.
        held_out_fingerprint: the same of validation and test alone, without weights: figures of
            two bundles that agree in it were taken on the same rows.
    """

    train: Rows
    validation: Rows
    test: Rows
    places: Indices
    groups: Indices
    leaks: Mapping[str, int]
    fingerprint: str
    held_out_fingerprint: str

    def count(self, place: Place) -> int:
        """Count the rows that went to a place."""
        return int((self.places == place).sum())

    @property
    def evaluation_only(self) -> int:
        """Rows that were left out as near duplicates of evaluation-only texts."""
        return self.count(Place.EVALUATION_ONLY)

    @property
    def repeated(self) -> int:
        """Rows that were left out as reformattings of a row that is better labelled."""
        return self.count(Place.REPEATED)

    @property
    def near_held_out(self) -> int:
        """Rows that were left out as near duplicates of held-out rows."""
        return self.count(Place.NEAR_HELD_OUT)


def split_rows(
    rows: Rows,
    evaluation_texts: Mapping[str, Sequence[str]],
    seed: int,
    held_out_from: Collection[int] | None = None,
) -> Split:
    """Split rows by groups of near duplicates.

    Of rows with one text, reformattings alike, the row with most labels known stays, with the
    weight of its own file; among equals it is a candidate, then the first.

    Args:
        rows: all labelled rows.
        evaluation_texts: by file, texts that must be in no part, nor their near duplicates.
        seed: with the same candidates, texts and seed the same rows are held out.
        held_out_from: positions of the files (`Rows.files`) to hold out from; None for all.

    Raises:
        TrainingError: there are too few rows to hold any out.
    """
    candidate = _candidates(rows, held_out_from)
    order = np.concatenate([np.flatnonzero(candidate), np.flatnonzero(~candidate)])
    near = _Near.of([rows.texts[i] for i in order], evaluation_texts, int(candidate.sum()))
    near = near.in_the_order_of(np.argsort(order))

    places = np.full(len(rows), Place.TRAIN, np.intp)
    places[near.to_evaluation(candidate)] = Place.EVALUATION_ONLY
    places[_repeated(rows, order[places[order] == Place.TRAIN], candidate)] = Place.REPEATED
    kept = np.flatnonzero((places == Place.TRAIN) & candidate)
    places[kept] = _dealt(rows.labels[kept], near.dealt[kept], seed)
    held_out = np.isin(places, (Place.VALIDATION, Place.TEST))
    places[near.to_these(held_out, candidate) & (places == Place.TRAIN)] = Place.NEAR_HELD_OUT

    parts = (Place.TRAIN, Place.VALIDATION, Place.TEST)
    train, validation, test = (rows.take(np.flatnonzero(places == part)) for part in parts)
    return Split(
        train,
        validation,
        test,
        places,
        near.among_all,
        near.leaks(),
        fingerprint=_fingerprint([train, validation, test]),
        held_out_fingerprint=_fingerprint([_unweighted(validation), _unweighted(test)]),
    )


@dataclass(frozen=True, slots=True)
class _Near:
    """Groups of near duplicates, by number; those of evaluation-only texts have numbers, too.

    Attributes:
        among_all: [n] group of each row, all rows and evaluation-only texts taken together.
        among_candidates: [n] the same without the rows that are no candidates; of these -1.
        dealt: [n] as `among_candidates`, by the comparison by which they are dealt.
        evaluation: by file, the group among all of each of its texts.
        shut_out: the groups of `dealt` that have an evaluation-only text.
    """

    among_all: Indices
    among_candidates: Indices
    dealt: Indices
    evaluation: Mapping[str, Indices]
    shut_out: Indices

    @classmethod
    def of(
        cls, texts: Sequence[str], evaluation_texts: Mapping[str, Sequence[str]], candidates: int
    ) -> "_Near":
        """Group texts, the candidates first; neither comparison depends on the other rows."""
        apart = list(chain.from_iterable(evaluation_texts.values()))
        signatures = duplicates.signatures([*apart, *texts])
        among_all = duplicates.joined(signatures)
        alone = signatures[: len(apart) + candidates]
        among_candidates = among_all  # where there are no others
        if len(alone) < len(signatures):
            among_candidates = duplicates.joined(alone)
        dealt = duplicates.joined(alone, duplicates.SETTLED)
        ends = np.cumsum([len(of_file) for of_file in evaluation_texts.values()])
        files = zip(evaluation_texts, np.split(among_all[: len(apart)], ends)[:-1], strict=True)
        rest = np.full(len(texts) - candidates, -1, np.intp)
        return cls(
            among_all[len(apart) :],
            np.concatenate([among_candidates[len(apart) :], rest]),
            np.concatenate([dealt[len(apart) :], rest]),
            dict(files),
            dealt[: len(apart)],
        )

    def in_the_order_of(self, order: Indices) -> "_Near":
        """Return the same for the rows at `order`."""
        return _Near(
            self.among_all[order],
            self.among_candidates[order],
            self.dealt[order],
            self.evaluation,
            self.shut_out,
        )

    def to_evaluation(self, candidate: Mask) -> Mask:
        """Say which rows are near an evaluation-only text.

        Candidates are asked without the other rows, so that none of these can bridge the gap.
        """
        apart = np.concatenate([*self.evaluation.values(), np.empty(0, np.intp)])
        near: Mask = np.isin(self.among_all, apart)
        near[candidate] = np.isin(self.dealt[candidate], self.shut_out)
        return near

    def to_these(self, rows: Mask, candidate: Mask) -> Mask:
        """Say which rows are near one of these candidates; candidates without the other rows."""
        near: Mask = np.isin(self.among_all, self.among_all[rows])
        near[candidate] = np.isin(self.among_candidates[candidate], self.among_candidates[rows])
        return near

    def leaks(self) -> dict[str, int]:
        """Count the rows near a text of each evaluation-only file."""
        return {
            file: int(np.isin(self.among_all, of_file).sum())
            for file, of_file in self.evaluation.items()
        }


def _candidates(rows: Rows, held_out_from: Collection[int] | None) -> Mask:
    """Say which rows may be held out.

    They have all labels or, where no row has, all that are ever known in these files.
    """
    among: Mask = np.ones(len(rows), np.bool_)
    if held_out_from is not None:
        among &= np.isin(rows.files, list(held_out_from))
    known = np.isfinite(rows.labels)
    among &= np.all(known[:, known[among].any(axis=0)], axis=1)
    return among


def _repeated(rows: Rows, in_turn: Indices, candidate: Mask) -> list[int]:
    """Return the rows whose text stands there again in a row that is better labelled.

    Args:
        rows: all rows.
        in_turn: those to look at, the candidates first: none gives way to another row.
        candidate: [n].
    """
    worth = np.where(candidate, len(rows.names), np.isfinite(rows.labels).sum(axis=1))
    best: dict[str, int] = {}
    repeated = []
    for i in in_turn.tolist():
        key = duplicates.exact_key(rows.texts[i]) or rows.texts[i]
        other = best.setdefault(key, i)
        if worth[i] > worth[other]:
            best[key] = i
        if i != other:
            repeated.append(other if best[key] == i else i)
    return repeated


def _dealt(labels: Labels, group: Indices, seed: int) -> Indices:
    """Return the place of each candidate; a group stays together."""
    numbers = np.unique(group)
    if len(numbers) < LEAST_GROUPS:
        raise TrainingError(
            f"{len(numbers)} distinct comments have all labels, at least {LEAST_GROUPS} needed",
            "give more labelled rows: a tenth and a fifth of these are held out",
        )
    fold = _folds(labels, np.searchsorted(numbers, group), len(numbers), seed)
    place = np.full(FOLDS, Place.TRAIN, np.intp)
    place[list(TEST_FOLDS)] = Place.TEST
    place[list(VALIDATION_FOLDS)] = Place.VALIDATION
    dealt: Indices = place[fold[np.searchsorted(numbers, group)]]
    return dealt


def _folds(labels: Labels, group: Indices, groups: int, seed: int) -> Indices:
    """Return [groups] folds, dealt so that every fold has its share of each label."""
    positive = np.zeros((groups, labels.shape[1]), np.int8)
    np.maximum.at(positive, group, is_set(labels).astype(np.int8))
    dealer = MultilabelStratifiedKFold(n_splits=FOLDS, shuffle=True, random_state=seed)
    fold = np.empty(groups, np.intp)
    for number, (_, held_out) in enumerate(dealer.split(positive, positive)):
        fold[held_out] = number
    return fold


def _fingerprint(parts: Sequence[Rows]) -> str:
    digest = hashlib.sha256()
    for number, rows in enumerate(parts):
        lines = map(_row_digest, rows.texts, rows.labels, rows.weights)
        digest.update(bytes([number]) + b"".join(sorted(lines)))
    return digest.hexdigest()[:16]


def _unweighted(rows: Rows) -> Rows:
    return Rows(rows.texts, rows.labels, rows.names)


def _row_digest(text: str, labels: Labels, weight: np.float32) -> bytes:
    # a weight of 1 adds nothing: the fingerprints of the first bundles, without weights, hold
    weighed = b"" if weight == 1 else weight.tobytes()
    return hashlib.sha256(text.encode(errors="surrogatepass") + labels.tobytes() + weighed).digest()
