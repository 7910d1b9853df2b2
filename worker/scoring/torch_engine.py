"""Which of torch's engines serves a folder: without padding where that is known to be the same."""

from pathlib import Path
from typing import Any

import torch

from schemas.errors import SettingsError
from worker.pulse import Pulse
from worker.scoring.checkpoint import read_classifier, read_config
from worker.scoring.cuda_graphs import CudaCapture, Graphs, shapes
from worker.scoring.engine import Engine
from worker.scoring.flat_encoder import FlatEncoder
from worker.scoring.flat_inputs import Eager
from worker.scoring.flat_weights import FLAT, flat_encoder_of, heads_of
from worker.scoring.fp8 import BF16, use_fp8
from worker.scoring.torch_device import ON_CPU, Found, TorchDevice, choose_device, starting
from worker.scoring.torch_flat import TorchFlat
from worker.scoring.torch_float import TorchFloat
from worker.scoring.varlen import Attention, attend_on_cpu, gpu_attention, missing_on_gpu
from worker.settings import ScoringSettings


def load_torch_engine(
    folder: Path, longest: int, settings: ScoringSettings, pulse: Pulse, found: Found
) -> tuple[Engine, str]:
    """Load the classifier of a folder on the best device, and say why in this way.

    Args:
        folder: of config.json and model.safetensors.
        longest: tokens of the longest piece.
        settings: what a micro-batch may cost, if not what suits the device, and the number type.
        pulse: beaten as micro-batches end.
        found: the devices to choose from.

    Raises:
        BundleError: the folder holds no classifier that transformers can load.
        ScoringError: the model does not fit the GPU, or the GPU fails.
        SettingsError: a GPU is here, and torch cannot use it, or not in that number type.
    """
    device = choose_device(found, settings.number_type)
    if settings.budget is not None:
        device = device._replace(budget=settings.budget)
    config = read_config(folder)
    obstacle = why_padded(config, device)
    if obstacle is not None and device.fp8:
        raise SettingsError(f"no products in fp8 where rows are padded: {obstacle}", BF16)
    if obstacle is not None:
        with starting(found.card):
            model = read_classifier(folder, config, device.dtype)
            return TorchFloat(model, device, pulse), f"padded: {obstacle}"
    otherwise = f"{BF16}, or {ON_CPU}" if device.fp8 else ON_CPU
    with starting(found.card, device.budget, otherwise):
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

    Raises:
        SettingsError: its products cannot be computed in fp8, which was asked for.
    """
    about = f"torch {device.description}, no padding"
    if device.torch.type == "cpu":
        eager = Eager(encoder_of(model, device, attend_on_cpu), device.torch)
        return TorchFlat(eager, device.budget, about, pulse, stream=None)
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch types it not
    wanted = shapes(device.budget, longest)
    with torch.cuda.stream(stream):
        encoder = encoder_of(model, device, gpu_attention())
        with torch.inference_mode():
            graphs = Graphs(encoder, wanted, device.torch, CudaCapture(stream))
    return TorchFlat(graphs, device.budget, f"{about}, {len(wanted)} graphs", pulse, stream)


def encoder_of(model: Any, device: TorchDevice, attend: Attention) -> FlatEncoder:
    """Return a classifier's flat encoder on a device, in the number types that it has there.

    Raises:
        SettingsError: as `flat_engine`.
    """
    encoder = flat_encoder_of(model, attend)
    if device.fp8:
        use_fp8(encoder, device.torch, device.dtype)  # first: rounded once, not twice
    return encoder.to(device.torch, device.dtype)
