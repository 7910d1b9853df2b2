"""How good: figures per label and their means, each with its 95 % bootstrap interval."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainer import bootstrap
from trainer.bootstrap import RESAMPLES, Floats, draws, interval, once
from trainer.data import Labels, is_set

BINS: Final = 15

Figures = dict[str, Any]
Drawn = dict[str, Floats]

# of a label; those of the second line are None where it has one class only
_COUNTS: Final = ("true_positives", "false_positives", "false_negatives", "true_negatives")
_OF_A_LABEL: Final = (
    "roc_auc",
    "pr_auc",
    "precision",
    "recall",
    "f1",
    "accuracy",
    "calibration_error",
)
_MEANS: Final = {"roc_auc": "mean_roc_auc", "pr_auc": "mean_pr_auc", "precision": "macro_precision"}
_MEANS_AT_THRESHOLD: Final = {"recall": "macro_recall", "f1": "macro_f1", "accuracy": "accuracy"}


def evaluate(
    scores: Floats,
    labels: Labels,
    thresholds: Sequence[float],
    names: Sequence[str],
    resamples: int = RESAMPLES,
) -> Figures:
    """Judge probabilities against labels.

    Args:
        scores: [rows, labels] calibrated probabilities.
        labels: [rows, labels] in 0..1, NaN where not known; 0.5 and more is positive.
        thresholds: [labels] from which a label is set.
        names: [labels].
        resamples: draws of the rows for the intervals.

    Returns:
        `rows`; `mean_roc_auc`, `mean_pr_auc`, `macro_` and `micro_` `precision`, `recall` and
        `f1`, `accuracy` (mean over the labels) and `subset_accuracy` (all labels of a row
        right), each beside its `…_interval`; what a model that never sets a label would get as
        `accuracy_of_silence` and `subset_accuracy_of_silence`; and `labels`: for each
        `positives`, `known`, `threshold`, the confusion as four counts, `roc_auc`, `pr_auc`,
        `precision`, `recall`, `f1`, `accuracy`, `calibration_error` with their intervals. Means
        are over the labels that have both classes. A figure that cannot be had is None.
    """
    judge = Judged(scores, labels, thresholds, names)
    figures = {name: _rounded(found[0]) for name, found in judge.figures(once(len(scores))).items()}
    drawn = judge.drawn(resamples)
    stated = {
        key: value
        for name, figure in figures.items()
        for key, value in ((name, figure), (f"{name}_interval", interval(drawn[name])))
    }
    return {
        "rows": len(scores),
        **{key: value for key, value in stated.items() if "/" not in key},
        **judge.silence(),
        "labels": {name: _of_label(judge, i, stated) for i, name in enumerate(names)},
    }


class Judged:
    """Probabilities beside labels, ready to be judged on any draw of the rows.

    Args:
        scores: [rows, labels] calibrated probabilities.
        labels: [rows, labels] in 0..1, NaN where not known.
        thresholds: [labels].
        names: [labels].
    """

    def __init__(
        self, scores: Floats, labels: Labels, thresholds: Sequence[float], names: Sequence[str]
    ) -> None:
        self.names = tuple(names)
        self.scores = scores
        self.thresholds = tuple(thresholds)
        self.known = np.isfinite(labels)
        self.positive = is_set(labels)
        self.flagged = scores >= np.asarray(thresholds)
        positives = (self.positive & self.known).sum(axis=0)
        self.both_classes = (positives > 0) & (positives < self.known.sum(axis=0))

    def drawn(self, resamples: int = RESAMPLES) -> Drawn:
        """Return every figure over the same draws each time: [draws] by name."""
        parts = [self.figures(weights) for weights in draws(len(self.scores), resamples)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def figures(self, weights: Floats) -> Drawn:
        """Return every figure by name, `label/figure` for those of a label: [draws] each.

        Args:
            weights: [draws, rows] how often each row is in a draw.
        """
        found: Drawn = {}
        for i, name in enumerate(self.names):
            found |= {f"{name}/{k}": v for k, v in self._of_label(i, weights).items()}
        for figure, mean in (_MEANS | _MEANS_AT_THRESHOLD).items():
            found[mean] = _mean([found[f"{n}/{figure}"] for n in self.names], len(weights))
        return found | self._over_all_labels(weights)

    def silence(self) -> Figures:
        """Return the accuracies of a model that never sets a label: why they mislead."""
        right = np.where(self.known, ~self.positive, np.nan)
        whole = np.asarray((~self.positive).all(axis=1))
        return {
            "accuracy_of_silence": _rounded(np.mean(right[self.known])),
            "subset_accuracy_of_silence": _rounded(whole[self.known.all(axis=1)].mean())
            if self.known.all(axis=1).any()
            else None,
        }

    def confusion(self, i: int) -> dict[str, int]:
        """Return the four counts of a label at its threshold."""
        counts = self._counts(i, once(len(self.scores)))
        return {name: int(count[0]) for name, count in zip(_COUNTS, counts, strict=True)}

    def _of_label(self, i: int, weights: Floats) -> Drawn:
        hits, false, missed, rest = self._counts(i, weights)
        if not self.both_classes[i]:
            return {name: np.full(len(weights), np.nan) for name in _OF_A_LABEL}
        known = self.known[:, i]
        scores, positive, weights = (
            self.scores[known, i],
            self.positive[known, i],
            weights[:, known],
        )
        precision, recall, f1 = _precision_recall_f1(hits, false, missed)
        return {
            "roc_auc": bootstrap.roc_auc(scores, positive, weights),
            "pr_auc": bootstrap.pr_auc(scores, positive, weights),
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "accuracy": (hits + rest) / np.maximum(hits + false + missed + rest, 1),
            "calibration_error": bootstrap.calibration_error(scores, positive, weights, BINS),
        }

    def _over_all_labels(self, weights: Floats) -> Drawn:
        """Return the micro means, and the share of rows of which every label is right."""
        counts = [self._counts(i, weights) for i in range(len(self.names))]
        precision, recall, f1 = _precision_recall_f1(
            *(np.sum([count[part] for count in counts], axis=0) for part in range(3))
        )
        whole = self.known.all(axis=1)
        right = (self.flagged == self.positive).all(axis=1)[whole]
        rows = weights[:, whole].sum(axis=1)
        subset = np.divide(
            weights[:, whole] @ right, rows, out=np.full(len(rows), np.nan), where=rows > 0
        )
        return {
            "micro_precision": precision,
            "micro_recall": recall,
            "micro_f1": f1,
            "subset_accuracy": subset,
        }

    def _counts(self, i: int, weights: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return [draws] true and false positives, false and true negatives of a label."""
        positive, flagged, known = self.positive[:, i], self.flagged[:, i], self.known[:, i]
        ways = (flagged & positive, flagged & ~positive, ~flagged & positive, ~flagged & ~positive)
        hits, false, missed, rest = (weights @ (way & known).astype(np.float64) for way in ways)
        return hits, false, missed, rest


def difference(first: Judged, second: Judged, resamples: int = RESAMPLES) -> Figures:
    """Compare two models on the same rows: first less second, with 95 % intervals.

    Returns:
        `mean_roc_auc` and `macro_f1` and each label's `roc_auc`, as `difference` and `interval`.
    """
    every = once(len(first.scores))
    here, there = first.figures(every), second.figures(every)
    a, b = first.drawn(resamples), second.drawn(resamples)
    wanted = ["mean_roc_auc", "macro_f1", *(f"{name}/roc_auc" for name in first.names)]
    return {
        name: {
            "difference": _rounded(here[name][0] - there[name][0]),
            "interval": interval(a[name] - b[name]),
        }
        for name in wanted
        if name in b
    }


def calibration_error(scores: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """Return the mean gap between probability and share of positives, over bins of equal mass."""
    return float(bootstrap.calibration_error(scores, positive, once(len(scores)), BINS)[0])


def mean_auc(scores: Floats, labels: Labels) -> float | None:
    """Return the mean ROC AUC over the labels that have both classes."""
    aucs = []
    for i in range(labels.shape[1]):
        known = np.isfinite(labels[:, i])
        positive, weights = is_set(labels[known, i]), once(int(known.sum()))
        if 0 < positive.sum() < len(positive):
            aucs.append(bootstrap.roc_auc(scores[known, i], positive, weights)[0])
    return _rounded(np.mean(aucs)) if aucs else None


def _of_label(judge: Judged, i: int, stated: Figures) -> Figures:
    prefix = f"{judge.names[i]}/"
    return {
        "positives": int((judge.positive & judge.known)[:, i].sum()),
        "known": int(judge.known[:, i].sum()),
        "threshold": judge.thresholds[i],
        **judge.confusion(i),
        **{key.removeprefix(prefix): v for key, v in stated.items() if key.startswith(prefix)},
    }


def _precision_recall_f1(
    hits: Floats, false: Floats, missed: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return the three of counts; 0 where nothing was found or was there to find."""
    return (
        hits / np.maximum(hits + false, 1),
        hits / np.maximum(hits + missed, 1),
        2 * hits / np.maximum(2 * hits + false + missed, 1),
    )


def _mean(values: Sequence[Floats], count: int) -> Floats:
    """Return [draws] the mean over the labels that have the figure; NaN where none has."""
    stacked = np.stack(values) if values else np.full((1, count), np.nan)
    known = np.isfinite(stacked)
    total = np.where(known, stacked, 0).sum(axis=0)
    counts = known.sum(axis=0)
    mean: Floats = np.divide(total, counts, out=np.full(count, np.nan), where=counts > 0)
    return mean


def _rounded(value: float | np.floating[Any]) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
