"""A flat micro-batch on the device, and how it gets there."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.batching import Flat


class FlatInputs(NamedTuple):
    """A micro-batch on the device, laid out as `Flat`; all tensors are int32.

    It may have more than was written: pieces without tokens at the end, whose logits mean
    nothing, and tokens behind the last bound, which nothing reads.
    """

    ids: Tensor  # [tokens]
    positions: Tensor  # [tokens]
    bounds: Tensor  # [pieces + 1]
    longest: int  # no piece has more tokens; a number of the host's


Forward = Callable[[FlatInputs], Tensor]  # a pass: [pieces, labels] logits on the device


class Eager:
    """Launches a pass as it is, kernel after kernel."""

    def __init__(self, forward: Forward, device: torch.device) -> None:
        self._forward = forward
        self._device = device

    def __call__(self, flat: Flat) -> Tensor:
        """Launch a micro-batch: [pieces, labels] logits on the device, perhaps not yet there."""
        tensors = [torch.empty(len(part), dtype=torch.int32, device=self._device) for part in flat]
        for tensor, part in zip(tensors, flat, strict=True):
            copy_to(tensor, part)
        ids, positions, bounds = tensors
        return self._forward(FlatInputs(ids, positions, bounds, longest_of(flat)))


def longest_of(flat: Flat) -> int:
    """Return the tokens of the longest piece."""
    return int(np.diff(flat.bounds).max())


def copy_to(target: Tensor, source: NDArray[Any]) -> None:
    """Copy to the device without waiting; torch keeps the pinned memory until it has arrived."""
    tensor = torch.from_numpy(source)
    target.copy_(tensor.pin_memory() if target.is_cuda else tensor, non_blocking=True)
