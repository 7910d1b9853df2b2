"""How good: figures per label and their means, with counts and bootstrap intervals."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

from trainer.calibrate import Floats
from trainer.data import Labels, is_set

RESAMPLES: Final = 400
BINS: Final = 15

Figures = dict[str, Any]


def evaluate(
    scores: Floats, labels: Labels, thresholds: Sequence[float], names: Sequence[str]
) -> Figures:
    """Judge probabilities against labels.

    Args:
        scores: [rows, labels] calibrated probabilities.
        labels: [rows, labels] in 0..1, NaN where not known; 0.5 and more is positive.
        thresholds: [labels] from which a label is set.
        names: [labels].

    Returns:
        `rows`; `labels`: for each its figures, as `label_figures` gives them; and the means
        of ROC AUC (with a 95 % interval), PR AUC and F1 over the labels that have both
        classes. A figure that cannot be had is None.
    """
    per_label = {
        name: label_figures(scores[:, i], labels[:, i], thresholds[i])
        for i, name in enumerate(names)
    }
    return {
        "rows": len(scores),
        "mean_roc_auc": _mean([f["roc_auc"] for f in per_label.values()]),
        "mean_roc_auc_interval": _interval(scores, labels),
        "mean_pr_auc": _mean([f["pr_auc"] for f in per_label.values()]),
        "macro_f1": _mean([f["f1"] for f in per_label.values()]),
        "labels": per_label,
    }


def label_figures(scores: Floats, labels: Labels, threshold: float) -> Figures:
    """Judge one label on the rows where it is known.

    Returns:
        `positives`, `known`, `threshold`, `roc_auc` and its 95 % interval, `pr_auc`,
        `precision`, `recall` and `f1` at the threshold, `calibration_error`.
    """
    known = np.isfinite(labels)
    positive, scores = is_set(labels[known]), scores[known]
    figures: Figures = {
        "positives": int(positive.sum()),
        "known": len(positive),
        "threshold": threshold,
    }
    if positive.sum() in (0, len(positive)):
        missing = ("roc_auc", "roc_auc_interval", "pr_auc", "precision", "recall", "f1")
        return figures | dict.fromkeys((*missing, "calibration_error"))
    precision, recall, f1, _ = precision_recall_fscore_support(
        positive, scores >= threshold, average="binary", zero_division=0.0
    )
    return figures | {
        "roc_auc": _rounded(roc_auc_score(positive, scores)),
        "roc_auc_interval": _interval(scores[:, None], labels[known][:, None]),
        "pr_auc": _rounded(average_precision_score(positive, scores)),
        "precision": _rounded(precision),
        "recall": _rounded(recall),
        "f1": _rounded(f1),
        "calibration_error": _rounded(calibration_error(scores, positive)),
    }


def calibration_error(scores: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """Return the mean gap between probability and share of positives, over bins of equal mass."""
    order = np.argsort(scores, kind="stable")
    return sum(
        len(part) / len(scores) * abs(float(scores[part].mean() - positive[part].mean()))
        for part in np.array_split(order, BINS)
        if len(part)
    )


def mean_auc(scores: Floats, labels: Labels) -> float | None:
    """Return the mean ROC AUC over the labels that have both classes."""
    aucs: list[float | None] = []
    for i in range(labels.shape[1]):
        known = np.isfinite(labels[:, i])
        positive = is_set(labels[known, i])
        if 0 < positive.sum() < len(positive):
            aucs.append(float(roc_auc_score(positive, scores[known, i])))
    return _mean(aucs)


def _interval(scores: Floats, labels: Labels) -> list[float] | None:
    """Return the 95 % interval of the mean ROC AUC, by drawing rows anew."""
    random = np.random.default_rng(0)
    drawn = [random.integers(0, len(scores), len(scores)) for _ in range(RESAMPLES)]
    found = [auc for rows in drawn if (auc := mean_auc(scores[rows], labels[rows])) is not None]
    if not found:
        return None
    return [_rounded(edge) for edge in np.quantile(found, [0.025, 0.975])]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _rounded(np.mean(known)) if known else None


def _rounded(value: float | np.floating[Any]) -> float:
    return round(float(value), 4)
