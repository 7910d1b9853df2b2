"""Which of torch's engines serves a folder: without padding where that is known to be the same."""

from pathlib import Path
from typing import Any

import torch

from worker.pulse import Pulse
from worker.scoring.checkpoint import read_classifier, read_config
from worker.scoring.cuda_graphs import CudaCapture, Graphs, shapes
from worker.scoring.engine import Engine
from worker.scoring.flat_inputs import Eager
from worker.scoring.flat_weights import FLAT, flat_encoder_of, heads_of
from worker.scoring.torch_device import Found, TorchDevice, choose_device, starting
from worker.scoring.torch_flat import TorchFlat
from worker.scoring.torch_float import TorchFloat
from worker.scoring.varlen import attend_on_cpu, gpu_attention, missing_on_gpu


def load_torch_engine(
    folder: Path, longest: int, budget: int | None, pulse: Pulse, found: Found
) -> tuple[Engine, str]:
    """Load the classifier of a folder on the best device, and say why in this way.

    Args:
        folder: of config.json and model.safetensors.
        longest: tokens of the longest piece.
        budget: what a micro-batch may cost, in tokens; None: what suits the device.
        pulse: beaten as micro-batches end.
        found: the devices to choose from.

    Raises:
        BundleError: the folder holds no classifier that transformers can load.
        ScoringError: the model does not fit the GPU, or the GPU fails.
        SettingsError: a GPU is here, and torch cannot use it.
    """
    device = choose_device(found)
    if budget is not None:
        device = device._replace(budget=budget)
    config = read_config(folder)
    obstacle = why_padded(config, device)
    if obstacle is not None:
        with starting(found.card):
            model = read_classifier(folder, config, device.dtype)
            return TorchFloat(model, device, pulse), f"padded: {obstacle}"
    with starting(found.card, device.budget):
        model = read_classifier(folder, config, torch.float32)  # rearranged, then rounded
        return flat_engine(model, device, longest, pulse), f"{config.model_type} needs no padding"


def why_padded(config: Any, device: TorchDevice) -> str | None:
    """Return why a model cannot be computed flat here, or None."""
    if config.model_type not in FLAT:
        return f"{config.model_type} is laid out in rows only"
    return missing_on_gpu(heads_of(config)[1]) if device.torch.type == "cuda" else None


def flat_engine(model: Any, device: TorchDevice, longest: int, pulse: Pulse) -> TorchFlat:
    """Return the engine of a classifier that `why_padded` has no objection to.

    Args:
        model: of transformers, in fp32 on the CPU.
        device: where to compute, and in what.
        longest: tokens of the longest piece.
        pulse: beaten as micro-batches end.
    """
    about = f"torch {device.description}, no padding"
    if device.torch.type == "cpu":
        encoder = flat_encoder_of(model, attend_on_cpu)
        eager = Eager(encoder, device.torch)
        return TorchFlat(eager, device.budget, about, pulse, stream=None)
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch types it not
    wanted = shapes(device.budget, longest)
    with torch.cuda.stream(stream):
        encoder = flat_encoder_of(model, gpu_attention()).to(device.torch, device.dtype)
        with torch.inference_mode():
            graphs = Graphs(encoder, wanted, device.torch, CudaCapture(stream))
    return TorchFlat(graphs, device.budget, f"{about}, {len(wanted)} graphs", pulse, stream)
