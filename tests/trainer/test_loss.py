"""The losses: unknown labels teach nothing, rows count by their weight, fractions are borne."""

import numpy as np
import pytest
import torch
from torch import Tensor

from trainer.loss import MOST_WEIGHT, Loss, positive_weights

KINDS = ("bce", "focal", "asymmetric")
NAN = float("nan")


def loss(kind: str = "bce", labels: int = 2) -> Loss:
    """Return a loss in which positives weigh as much as negatives."""
    return Loss(kind, torch.ones(labels))  # type: ignore[arg-type]  # parametrised by name


@pytest.mark.parametrize("kind", KINDS)
def test_labels_that_are_not_known_give_no_gradient(kind: str) -> None:
    """Their logits are not moved, those of the others are."""
    logits = torch.tensor([[0.3, -0.7], [1.2, 0.4]], requires_grad=True)
    labels = torch.tensor([[1.0, NAN], [NAN, 0.0]])

    torch.autograd.backward(loss(kind).mean(logits, labels))

    assert logits.grad is not None
    assert (logits.grad != 0).tolist() == [[True, False], [False, True]]


def test_the_mean_is_over_the_labels_that_are_known() -> None:
    """Half of a table that is half empty, not a quarter."""
    logits = torch.tensor([[0.3, -0.7], [1.2, 0.4]])
    labels = torch.tensor([[1.0, NAN], [NAN, 0.0]])

    expected = -(torch.sigmoid(logits[0, 0]).log() + torch.sigmoid(-logits[1, 1]).log()) / 2
    assert loss().mean(logits, labels).item() == pytest.approx(expected.item())


def test_rows_of_which_nothing_is_known_give_a_loss_of_nothing() -> None:
    """No division by zero, no NaN in the weights."""
    assert loss(labels=3).mean(torch.zeros((2, 3)), torch.full((2, 3), NAN)).item() == 0


def test_a_row_counts_by_its_weight() -> None:
    """A weight of 3 is as good as the same row three times."""
    logits, labels = torch.tensor([[0.3, -0.7]]), torch.tensor([[1.0, 0.0]])

    heavy = loss().sum(logits, labels, torch.tensor([3.0]))
    often = loss().sum(logits.expand(3, 2), labels.expand(3, 2), torch.ones(3))

    assert heavy.item() == pytest.approx(often.item())


def test_bce_is_torchs_with_fractions_and_weights_of_positives() -> None:
    """A teacher's probabilities are labels like any others."""
    logits, labels = torch.tensor([[0.3, -2.7]]), torch.tensor([[0.8, 0.1]])
    weights = torch.tensor([4.0, 2.0])

    found = Loss("bce", weights).sum(logits, labels, torch.ones(1))

    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, labels, pos_weight=weights, reduction="sum"
    )
    assert found.item() == pytest.approx(expected.item())


def of_one(kind: str, logit: float, label: float) -> float:
    """Return the loss of one logit."""
    table: Tensor = torch.tensor([[logit]])
    return loss(kind, 1).mean(table, torch.tensor([[label]])).item()


def test_focal_plays_down_what_is_known_well() -> None:
    """By (1 - p)² of the probability p that the label was given (Lin et al. 2017)."""
    p = torch.tensor(2.0).sigmoid().item()

    assert of_one("focal", 2.0, 1) == pytest.approx(-np.log(p) * (1 - p) ** 2, rel=1e-4)
    assert of_one("focal", -2.0, 0) == pytest.approx(-np.log(p) * (1 - p) ** 2, rel=1e-4)


def test_asymmetric_leaves_positives_alone_and_forgets_easy_negatives() -> None:
    """Below a probability of 0.05 a negative costs nothing (Ridnik et al. 2021)."""
    assert of_one("asymmetric", 2.0, 1) == pytest.approx(of_one("bce", 2.0, 1))
    assert of_one("asymmetric", -3.0, 0) == 0
    assert 0 < of_one("asymmetric", 1.0, 0) < of_one("bce", 1.0, 0)


def test_rare_labels_weigh_the_root_of_the_inverse_share() -> None:
    """Unknown ones do not count; a label without positives weighs 1; the weight is bounded."""
    labels = np.zeros((10_000, 4), np.float32)
    labels[:100, 0] = 1
    labels[:50, 1], labels[200:, 1] = 1, np.nan
    labels[0, 3] = 1

    assert positive_weights(labels).tolist() == pytest.approx([10.0, 2.0, 1.0, MOST_WEIGHT])
    assert positive_weights(labels, balance=0).tolist() == [1, 1, 1, 1]
