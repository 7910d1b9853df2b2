"""How much a model computes, and which share of what the device could (model-FLOP share)."""

from typing import Final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

BACKWARD: Final = 3  # forward once, backward twice as much

# Dense bf16, FLOP/s, from the data sheets; of other devices no share is printed.
PEAKS: Final = {
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA H100 80GB HBM3": 989e12,
    "NVIDIA H200": 989e12,
    "NVIDIA L4": 121e12,
}


class TrainingFlops:
    """The FLOP of a training step, over real tokens: padding is no work.

    A token costs two for each weight of the layers' products, and in attention four for each
    other token of its row and each of the hidden numbers, in every layer. Heads and embeddings
    are left out.

    Args:
        model: an encoder whose layers stand in a list named `layer` or `layers`.

    Source: Chowdhery et al. 2022, PaLM, arXiv 2204.02311, appendix B.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        weights = [
            module.weight.numel()
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and (".layer." in name or ".layers." in name)
        ]
        config = model.config
        self._per_token = 2 * sum(weights)
        self._per_pair = 4 * int(config.num_hidden_layers) * int(config.hidden_size)

    def of(self, lengths: Tensor) -> float:
        """Return the FLOP of forward and backward for rows of these lengths, [rows]."""
        exact = lengths.double()
        return BACKWARD * float((self._per_token * exact + self._per_pair * exact**2).sum())


def peak(device: torch.device) -> float | None:
    """Return what the device can compute a second in bf16, if that is known."""
    if device.type != "cuda":
        return None
    return PEAKS.get(torch.cuda.get_device_name(device))
