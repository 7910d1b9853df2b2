"""Figures on rows drawn anew, a thousand times at once: every figure gets its interval.

A draw says how often each row is in it. So a figure is computed with weights, for all draws in
one array operation, and the figure itself is that of the draw in which each row is once.

Source: Efron 1979; two models are compared on the same draws (a paired bootstrap).
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

RESAMPLES: Final = 1_000
_CELLS: Final = 4_000_000  # rows x draws computed at once: 32 MB an array
_EDGES: Final = (0.025, 0.975)


def draws(rows: int, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Floats]:
    """Yield [some, rows] how often each row is drawn; `resamples` of them in all.

    The same rows and seed give the same draws: figures of two models can be subtracted.
    """
    random = np.random.default_rng(seed)
    left = resamples
    while left:
        some = min(left, max(1, _CELLS // max(1, rows)))
        drawn = random.integers(0, rows, (some, rows)) + np.arange(some)[:, None] * rows
        counts = np.bincount(drawn.ravel(), minlength=some * rows)
        yield counts.reshape(some, rows).astype(np.float64)
        left -= some


def once(rows: int) -> Floats:
    """Return [1, rows]: the draw in which each row is once."""
    return np.ones((1, rows))


def interval(found: Floats) -> list[float] | None:
    """Return the 95 % interval of a figure over draws; draws without it (NaN) are left out."""
    known = found[np.isfinite(found)]
    if not len(known):
        return None
    return [round(float(edge), 4) for edge in np.quantile(known, _EDGES)]


def roc_auc(scores: Floats, positive: Mask, weights: Floats) -> Floats:
    """Return [draws] the area under the ROC curve; NaN where a draw has one class.

    Args:
        scores: [rows].
        positive: [rows].
        weights: [draws, rows] how often each row is in a draw.

    Source: Mann and Whitney 1947: the share of pairs in order, ties counted half.
    """
    positives, negatives = _by_score(scores, positive, weights)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    return _ratio((positives * below).sum(axis=1), pairs)


def pr_auc(scores: Floats, positive: Mask, weights: Floats) -> Floats:
    """Return [draws] the average precision; NaN where a draw has one class.

    Args:
        scores: [rows].
        positive: [rows].
        weights: [draws, rows].
    """
    positives, negatives = (part[:, ::-1] for part in _by_score(scores, positive, weights))
    hits = np.cumsum(positives, axis=1)
    precision = hits / np.maximum(hits + np.cumsum(negatives, axis=1), 1e-12)
    found = _ratio((positives * precision).sum(axis=1), hits[:, -1])
    return np.where(negatives.sum(axis=1) > 0, found, np.nan)


def calibration_error(scores: Floats, positive: Mask, weights: Floats, bins: int) -> Floats:
    """Return [draws] the mean gap between probability and share, over bins of equal mass.

    The bins are those of the rows as they are, in every draw.
    """
    order = np.argsort(scores, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gap = scores - positive
    gaps = sum(np.abs(weights[:, part] @ gap[part]) for part in parts)
    return _ratio(np.asarray(gaps), weights.sum(axis=1))


def _by_score(scores: Floats, positive: Mask, weights: Floats) -> tuple[Floats, Floats]:
    """Return [draws, distinct scores] how many positives and negatives have each, lowest first."""
    order = np.argsort(scores, kind="stable")
    ordered, weights = scores[order], weights[:, order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-np.inf))
    positives = np.add.reduceat(weights * positive[order], starts, axis=1)
    return positives, np.add.reduceat(weights, starts, axis=1) - positives


def _ratio(over: Floats, under: Floats) -> Floats:
    found: Floats = np.divide(over, under, out=np.full(len(under), np.nan), where=under > 0)
    return found
