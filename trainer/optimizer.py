"""The optimiser: which parameters learn how fast, and how that changes with the steps."""

import re
from typing import Any, Final

import torch
from torch import nn

from trainer.recipe import FitSettings

_LAYER: Final = re.compile(r"\.layers?\.(\d+)\.")


def choose_optimizer(model: nn.Module, settings: FitSettings) -> torch.optim.Optimizer:
    """Return AdamW, or the published recipe's Adam, in one pass over the parameters."""
    groups = parameter_groups(model, settings)
    if settings.optim == "adam_amsgrad":
        return torch.optim.Adam(groups, amsgrad=True, fused=True)
    return torch.optim.AdamW(groups, fused=True)


def parameter_groups(model: nn.Module, settings: FitSettings) -> list[dict[str, Any]]:
    """Split the parameters by how fast they learn and whether they decay.

    The fresh head learns `head_factor` times faster than the encoder's last layer; each layer
    below learns `layer_decay` times as fast as the one above it, the embeddings slowest
    (Howard and Ruder 2018; Sun et al. 2019, arXiv 1905.05583). Biases and norms do not decay.
    """
    layers = 1 + max((_layer(name) for name, _ in model.named_parameters()), default=0)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if name.startswith(f"{model.base_model_prefix}."):
            top = _above(name, layers)
            factor = settings.layer_decay ** (layers - 1 - top)
        else:
            factor = settings.head_factor
        groups.setdefault((factor, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": settings.learning_rate * factor,
            "peak": settings.learning_rate * factor,
            "weight_decay": settings.weight_decay if decays else 0.0,
        }
        for (factor, decays), parameters in groups.items()
    ]


def set_rate(optimizer: torch.optim.Optimizer, share: float) -> float:
    """Let every group learn at a share of its highest rate; return the highest of them."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
    return max(float(group["lr"]) for group in optimizer.param_groups)


def share_of_rate(step: int, total: int, settings: FitSettings) -> float:
    """Return the share of the highest rate at a step, from 0: up in a line, then down or level."""
    rising = max(1, round(settings.warmup_ratio * total))
    falls = settings.lr_scheduler_type == "linear"
    after = max(0.0, (total - step) / max(1, total - rising)) if falls else 1.0
    return min((step + 1) / rising, after)


def _layer(name: str) -> int:
    found = _LAYER.search(name)
    return int(found.group(1)) if found else -1


def _above(name: str, layers: int) -> int:
    """Return the layer of an encoder's parameter: embeddings -1, what follows the layers last."""
    layer = _layer(name)
    if layer < 0 and "embed" not in name:
        return layers - 1
    return layer
