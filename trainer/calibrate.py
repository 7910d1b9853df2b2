"""Logits to probabilities that mean what they say, and the thresholds that go with them.

Weighting the rare labels in the loss moves their logits up; Platt scaling on rows that were
not learnt from moves them back. The slope is above 0, so the order, and with it every AUC,
stays as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize  # type: ignore[import-untyped]  # ships no types
from scipy.special import expit, log_expit  # type: ignore[import-untyped]  # ships no types
from sklearn.metrics import precision_recall_curve

from schemas.bundle import BundleManifest, Calibration
from trainer.data import Labels, is_set, spoken_of

FALLBACK_THRESHOLD: Final = 0.5
LEAST_THRESHOLD: Final = 0.05  # a few validation rows must not set a label on nearly all comments
MOST_THRESHOLD: Final = 0.95
DECIMALS: Final = range(3, 17)  # of a threshold: as few as tell the scores beside it apart

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scale:
    """How logits become probabilities and labels.

    Attributes:
        calibration: [labels] the scaling of each.
        thresholds: [labels] the probability from which each is set.
    """

    calibration: tuple[Calibration, ...]
    thresholds: tuple[float, ...]

    @classmethod
    def of(cls, bundle: BundleManifest) -> Self:
        """Return the one that a bundle has."""
        return cls(
            tuple(bundle.calibration[label] for label in bundle.labels),
            tuple(bundle.thresholds[label] for label in bundle.labels),
        )

    def probabilities(self, logits: Floats) -> Floats:
        """Return [rows, labels] probabilities of [rows, labels] logits."""
        slopes = np.asarray([c.slope for c in self.calibration])
        intercepts = np.asarray([c.intercept for c in self.calibration])
        scaled: Floats = expit(logits * slopes + intercepts)
        return scaled


def fit_scale(
    logits: Floats,
    labels: Labels,
    positive_weights: Sequence[float],
    precision: float | None = None,
    before: Scale | None = None,
) -> Scale:
    """Fit the scaling of every label, then its threshold, on rows that were not learnt from.

    Args:
        logits: [rows, labels].
        labels: [rows, labels] in 0..1, NaN where not known.
        positive_weights: [labels] of a positive in the loss.
        precision: that the thresholds are to give; None: those of the best F1.
        before: of the model that training began at; a label of which no row says anything
            keeps it.
    """
    calibration = tuple(
        platt(logits[:, i], labels[:, i], weight) for i, weight in enumerate(positive_weights)
    )
    scores = Scale(calibration, ()).probabilities(logits)
    thresholds = tuple(
        best_threshold(scores[:, i], labels[:, i], precision) for i in range(labels.shape[1])
    )
    if before is None:
        return Scale(calibration, thresholds)
    fitted = Scale(calibration, thresholds)
    chosen = [fitted if known else before for known in spoken_of(labels)]
    return Scale(
        tuple(scale.calibration[i] for i, scale in enumerate(chosen)),
        tuple(scale.thresholds[i] for i, scale in enumerate(chosen)),
    )


def platt(logits: Floats, labels: Labels, positive_weight: float) -> Calibration:
    """Fit one label's scaling: probability = sigmoid(slope * logit + intercept).

    Args:
        logits: [rows] of rows that were not learnt from.
        labels: [rows] in 0..1, NaN where not known.
        positive_weight: of a positive in the loss. Where all known rows are of one class
            only the shift that it made, log(weight), is taken back.

    Source: Platt 1999, with its targets (n + 1) / (n + 2), which keep a label with few
        positives from being sure of itself.
    """
    known = np.isfinite(labels)
    positive, z = is_set(labels[known]), logits[known]
    n, p = len(positive), int(positive.sum())
    if p in (0, n):
        return Calibration(slope=1.0, intercept=-float(np.log(positive_weight)))
    target = np.where(positive, (p + 1) / (p + 2), 1 / (n - p + 2))

    def loss(parameters: Floats) -> float:
        margin = np.exp(parameters[0]) * z + parameters[1]
        return float(-np.mean(target * log_expit(margin) + (1 - target) * log_expit(-margin)))

    log_slope, intercept = minimize(loss, [0.0, -np.log(positive_weight)], method="BFGS").x
    return Calibration(slope=float(np.exp(log_slope)), intercept=float(intercept))


def best_threshold(scores: Floats, labels: Labels, wanted: float | None = None) -> float:
    """Return the probability from which one label is set, as these rows have it best.

    It lies between two scores, is rounded as far as it stays between them, though not beyond
    0.001, and is within 0.05 to 0.95. A label without a positive, or with nothing else, gets 0.5.

    Args:
        scores: [rows] calibrated probabilities.
        labels: [rows] in 0..1, NaN where not known.
        wanted: the share of those over it that have the label: the lowest threshold that gives
            it, or 0.95 where none does. None: the threshold of the best F1.
    """
    known = np.isfinite(labels)
    positive, scores = is_set(labels[known]), scores[known]
    if positive.sum() in (0, len(positive)):
        return FALLBACK_THRESHOLD
    precision, recall, cuts = precision_recall_curve(positive, scores)
    if wanted is None:
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        best = int(np.argmax(f1[:-1]))
    else:
        enough = np.flatnonzero(precision[:-1] >= wanted)
        if not len(enough):
            return MOST_THRESHOLD
        best = int(enough[0])
    below = cuts[best - 1] if best else 0.0
    between = _rounded_between(float(below), float(cuts[best]))
    return min(max(between, LEAST_THRESHOLD), MOST_THRESHOLD)


def _rounded_between(below: float, cut: float) -> float:
    """Return a number of few decimals over `below` and at most `cut`: no score changes sides."""
    halfway = (below + cut) / 2
    rounded = (round(halfway, decimals) for decimals in DECIMALS)
    return next((number for number in rounded if below < number <= cut), cut)
