"""Rows into train, validation and test: stratified over the labels, grouped, seeded.

Validation and test are drawn among the rows of which all labels are known. A near duplicate
of a held-out row is in the same part or nowhere; a near duplicate of an evaluation-only
text is nowhere at all.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

from schemas.errors import TrainingError
from trainer import duplicates
from trainer.data import Rows, is_set

FOLDS: Final = 10
TEST_FOLDS: Final = (0, 1)  # a fifth
VALIDATION_FOLDS: Final = (2,)  # a tenth: early choice, calibration, thresholds
LEAST_GROUPS: Final = 5 * FOLDS

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Split:
    """The three parts, and what was left out on the way.

    Attributes:
        evaluation_only: rows that were dropped as near duplicates of evaluation-only texts.
        repeated: rows that were dropped as reformattings of a row that is better labelled.
        fingerprint: 16 hex digits of a hash over all rows and the part that each is in.
    """

    train: Rows
    validation: Rows
    test: Rows
    evaluation_only: int
    repeated: int
    fingerprint: str


def split_rows(rows: Rows, evaluation_texts: Sequence[str], seed: int) -> Split:
    """Split rows by groups of near duplicates.

    Args:
        rows: all labelled rows.
        evaluation_texts: texts that must be in no part, nor their near duplicates.
        seed: the same seed, rows and texts give the same split.

    Raises:
        TrainingError: there are too few rows to hold any out.
    """
    group = duplicates.groups([*evaluation_texts, *rows.texts])
    shut_out = set(group[: len(evaluation_texts)].tolist())
    group = group[len(evaluation_texts) :]
    allowed = [i for i in range(len(rows)) if int(group[i]) not in shut_out]
    kept = _best_labelled(rows, allowed)
    parts = _parts(rows.take(kept), group[kept], seed)
    train, validation, test = (rows.take(kept[part]) for part in parts)
    return Split(
        train,
        validation,
        test,
        evaluation_only=len(rows) - len(allowed),
        repeated=len(allowed) - len(kept),
        fingerprint=_fingerprint(train, validation, test),
    )


def _best_labelled(rows: Rows, allowed: Sequence[int]) -> Indices:
    """Keep one row of each text, reformattings alike: the one with most labels known."""
    known = np.isfinite(rows.labels).sum(axis=1)
    best: dict[str, int] = {}
    for i in allowed:
        key = duplicates.exact_key(rows.texts[i]) or rows.texts[i]
        if known[i] > known[best.setdefault(key, i)]:
            best[key] = i
    return np.sort(np.fromiter(best.values(), np.intp, len(best)))


def _parts(rows: Rows, group: Indices, seed: int) -> tuple[Indices, Indices, Indices]:
    """Return the indices of train, validation and test.

    A group may be held out if a row in it has all labels (or, in files where no row has, all
    that are ever known). Rows of a held-out group that lack a label are in no part's figures:
    they stay with the group only so as not to be trained on, so they are dropped.
    """
    known = np.isfinite(rows.labels)
    full = known[:, known.any(axis=0)].all(axis=1)
    candidates = np.unique(group[full])
    if len(candidates) < LEAST_GROUPS:
        raise TrainingError(
            f"{len(candidates)} distinct comments have all labels, at least {LEAST_GROUPS} needed",
            "give more labelled rows: a tenth and a fifth of these are held out",
        )
    fold = _folds(rows.labels[full], group[full], candidates, seed)
    fold_of_row = np.asarray([fold.get(int(g), FOLDS) for g in group])
    test, validation = np.isin(fold_of_row, TEST_FOLDS), np.isin(fold_of_row, VALIDATION_FOLDS)
    train = ~(test | validation)
    return (np.flatnonzero(train), np.flatnonzero(validation & full), np.flatnonzero(test & full))


def _folds(
    labels: npt.NDArray[np.float32], group: Indices, candidates: Indices, seed: int
) -> dict[int, int]:
    """Return the fold of each group, dealt so that every fold has its share of each label."""
    position = {int(g): i for i, g in enumerate(candidates)}
    positive = np.zeros((len(candidates), labels.shape[1]), np.int8)
    for g, row in zip(group, labels, strict=True):
        positive[position[int(g)]] |= is_set(row).astype(np.int8)
    dealer = MultilabelStratifiedKFold(n_splits=FOLDS, shuffle=True, random_state=seed)
    return {
        int(candidates[i]): fold
        for fold, (_, held_out) in enumerate(dealer.split(positive, positive))
        for i in held_out
    }


def _fingerprint(*parts: Rows) -> str:
    digest = hashlib.sha256()
    for number, rows in enumerate(parts):
        lines = (
            hashlib.sha256(text.encode(errors="surrogatepass") + labels.tobytes()).digest()
            for text, labels in zip(rows.texts, rows.labels, strict=True)
        )
        digest.update(bytes([number]) + b"".join(sorted(lines)))
    return digest.hexdigest()[:16]
