"""The losses: sigmoid and a cost for each label, over the labels that are known.

Labels may be fractions, such as the share of raters who agreed or a teacher's probabilities.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from trainer.data import Labels

MOST_WEIGHT: Final = 20.0  # of a positive, however rare its label

FOCUS: Final = 2.0  # gamma of the focal loss, as its authors found best
ASYMMETRIC_FOCUS: Final = 4.0  # gamma of the negatives; that of the positives is 0
ASYMMETRIC_MARGIN: Final = 0.05  # probability below which a negative costs nothing


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss of logits against labels.

    Attributes:
        kind: `bce`; `focal`, in which what is known well costs less (Lin et al. 2017, arXiv
            1708.02002); `asymmetric`, in which that holds of negatives only, and the easiest
            cost nothing (Ridnik et al. 2021, arXiv 2009.14119).
        positive_weights: [labels] of the positive part.
    """

    kind: Literal["bce", "focal", "asymmetric"]
    positive_weights: Tensor

    def sum(self, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Return the sum over the labels that are known, each row times its weight.

        Args:
            logits: [rows, labels].
            labels: [rows, labels] in 0..1, NaN where not known: no loss, no gradient.
            weights: [rows].
        """
        known = labels.isfinite()
        target = labels.nan_to_num(0.0)
        positive, negative = self._parts(logits)
        losses = target * positive * self.positive_weights + (1 - target) * negative
        return (losses * known * weights[:, None]).sum()

    def mean(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over the labels that are known; 0 where none is."""
        ones = torch.ones(len(labels), device=labels.device)
        return self.sum(logits, labels, ones) / labels.isfinite().sum().clamp(min=1)

    def _parts(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each logit costs if the label is 1, and if it is 0."""
        positive, negative = -logsigmoid(logits), -logsigmoid(-logits)
        if self.kind == "focal":
            p = logits.sigmoid()
            return positive * (1 - p) ** FOCUS, negative * p**FOCUS
        if self.kind == "asymmetric":
            p = (logits.sigmoid() - ASYMMETRIC_MARGIN).clamp(min=0.0)
            return positive, -torch.log1p(-p) * p**ASYMMETRIC_FOCUS
        return positive, negative


def positive_weights(labels: Labels, balance: float = 0.5) -> Tensor:
    """Return [labels] the inverse share of positives among the known, to the power of `balance`.

    With 0 the rare labels drown in the first epochs; with 1 the probabilities leave the scale.
    A label without positives weighs 1.
    """
    known = np.isfinite(labels).sum(axis=0)
    positives = np.nansum(labels, axis=0)
    weights = (known / np.maximum(positives, 1e-9)) ** balance
    weights = np.where(positives > 0, np.clip(weights, 1.0, MOST_WEIGHT), 1.0)
    return torch.tensor(weights, dtype=torch.float32)
