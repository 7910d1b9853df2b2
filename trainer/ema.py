"""A running mean of the weights: steadier than those of any one step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """The exponential mean of a model's weights over its steps.

    Args:
        model: whose weights are followed.
        decay: how much of the mean a step leaves, near 1. In the first steps it is less,
            (1 + step) / (10 + step), or the mean would hold on to where training began.
            Source: TensorFlow's ExponentialMovingAverage (num_updates).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.mean = {name: p.detach().clone() for name, p in model.named_parameters()}
        self._model = model
        self._decay = decay

    @classmethod
    def of(cls, model: nn.Module, decay: float) -> "Ema | None":
        """Return the mean to follow a model, or None if its decay is 0."""
        return cls(model, decay) if decay else None

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 1."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, parameter in self._model.named_parameters():
            self.mean[name].lerp_(parameter, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the model the mean in place of its weights, and those back in the end."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def load(self, mean: dict[str, Tensor]) -> None:
        """Take the mean from a checkpoint."""
        for name, tensor in self.mean.items():
            tensor.copy_(mean[name])

    def _swap(self) -> None:
        for name, parameter in self._model.named_parameters():
            self.mean[name], parameter.data = parameter.data, self.mean[name]
