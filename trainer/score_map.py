"""Score maps: from a bundle's probabilities to another scale, so that old thresholds still hold.

To the scale of the bundle before: by quantiles over the same rows, so that a threshold which a
community has set still flags the same share. To Perspective's: by isotonic regression on
comments that Perspective itself has scored.
"""

from typing import Final

import numpy as np
from scipy.stats import spearmanr  # type: ignore[import-untyped]  # ships no types
from sklearn.isotonic import IsotonicRegression

from schemas.bundle import ScoreMap
from trainer.bootstrap import Floats
from trainer.evaluate import Figures

KNOTS: Final = 33
THRESHOLDS: Final = (0.5, 0.7, 0.9)  # that people have set on Perspective's scale
_DIGITS: Final = 6


def by_quantiles(ours: Floats, theirs: Floats) -> ScoreMap:
    """Map scores so that any threshold flags the same share of the same rows.

    Half of the knots are spread over the rows, half over the rows with the highest scores,
    where thresholds are set.

    Args:
        ours: [rows] by the bundle that gets the map.
        theirs: [rows] the same rows by the other.

    Source: equipercentile linking, Kolen and Brennan 2014, chapter 2.
    """
    even = np.linspace(0, 1, KNOTS // 2)
    top = 1 - np.geomspace(0.5, 1 / max(2, len(ours)), KNOTS - len(even))
    shares = np.unique(np.concatenate([even, top]))
    return _map(np.quantile(ours, shares), np.quantile(theirs, shares))


def by_regression(ours: Floats, theirs: Floats) -> ScoreMap:
    """Map scores to those that another system gave the same rows, as near as a monotone map can.

    Args:
        ours: [rows] by the bundle that gets the map.
        theirs: [rows] in 0..1 by the other system.

    Source: Barlow et al. 1972, isotonic regression.
    """
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(ours, theirs)
    x = np.unique(np.quantile(ours, np.linspace(0, 1, KNOTS)))
    return _map(x, fitted.predict(x))


def applied(score_map: ScoreMap, scores: Floats) -> Floats:
    """Return scores on the other scale."""
    found: Floats = np.interp(scores, score_map.x, score_map.y)
    return found


def agreement(score_map: ScoreMap, ours: Floats, theirs: Floats) -> Figures:
    """Say how well a map meets another system's scores on rows that it was not fitted on.

    Returns:
        `rows`; `rank_correlation` (Spearman's, the same with and without the map; None where
        all rows have one score);
        `mean_absolute_error` and, for the sake of comparison, `…_unmapped`; `agreement`: by
        threshold, the share of rows that both flag or both leave.
    """
    mapped = applied(score_map, ours)
    return {
        "rows": len(ours),
        "rank_correlation": _rank_correlation(ours, theirs),
        "mean_absolute_error": round(float(np.abs(mapped - theirs).mean()), 4),
        "mean_absolute_error_unmapped": round(float(np.abs(ours - theirs).mean()), 4),
        "agreement": {
            f"{t:g}": round(float(((mapped >= t) == (theirs >= t)).mean()), 4) for t in THRESHOLDS
        },
        "flagged": {
            f"{t:g}": [int((mapped >= t).sum()), int((theirs >= t).sum())] for t in THRESHOLDS
        },
    }


def _rank_correlation(ours: Floats, theirs: Floats) -> float | None:
    if min(len(np.unique(ours)), len(np.unique(theirs))) == 1:
        return None
    return round(float(spearmanr(ours, theirs).statistic), 4)


def _map(x: Floats, y: Floats) -> ScoreMap:
    """Return a map through these points, of equal x the last, spread over 0 to 1."""
    x, y = (np.asarray(np.round(np.clip(z, 0, 1), _DIGITS), np.float64) for z in (x, y))
    rises = np.append(np.diff(x) > 0, True)
    x, y = x[rises], np.maximum.accumulate(y[rises])
    if len(x) == 1:  # all rows have one score: there is nothing to spread
        x, y = np.asarray([0.0, max(x[0], 0.5)]), np.asarray([y[0], y[0]])
    return ScoreMap(x=x.tolist(), y=y.tolist())
