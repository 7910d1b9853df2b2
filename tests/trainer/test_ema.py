"""The running mean of weights."""

import torch
from torch import nn

from trainer.ema import Ema


def test_the_mean_follows_slowly_and_in_the_first_steps_quickly() -> None:
    """After a step (1 + 1) / (10 + 1) of where training began is left, not 0.9."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 0.0)
    ema = Ema(model, 0.9)
    nn.init.constant_(model.weight, 1.0)

    ema.update(1)
    assert ema.mean["weight"].item() == torch.tensor(1 - 2 / 11).item()

    nn.init.constant_(model.weight, 0.0)
    before = ema.mean["weight"].item()
    ema.update(1_000)
    assert abs(ema.mean["weight"].item() - 0.9 * before) < 1e-6


def test_the_model_has_the_mean_for_a_while_and_then_its_own_weights_again() -> None:
    """Even if judging it fails in between."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 4.0)
    ema = Ema(model, 0.5)
    nn.init.constant_(model.weight, 8.0)

    with ema.in_place():
        assert model.weight.item() == 4

    assert (model.weight.item(), ema.mean["weight"].item()) == (8, 4)


def test_without_a_decay_there_is_no_mean() -> None:
    """It would cost memory for nothing."""
    assert Ema.of(nn.Linear(1, 1), 0.0) is None
