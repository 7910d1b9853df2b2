"""Which engine computes here, and why: by the settings, the bundle, the GPU, the CPU."""

import importlib.util
from pathlib import Path
from typing import Final, NamedTuple

from schemas.bundle import FLOAT_WEIGHTS, INT8_MODEL
from worker.bundle import Bundle
from worker.scoring.hidden_gpu import gpus_are_hidden
from worker.scoring.vnni import lacks_vnni
from worker.settings import EngineChoice

# What the drivers of a GPU leave on Linux: looked for before torch is imported, which takes
# seconds that a CPU worker does not have. The last two, WSL's and AMD's, are there for any card.
_NVIDIA: Final = Path("/dev/nvidiactl")
_GPU_DEVICES: Final = (_NVIDIA, Path("/dev/dxg"), Path("/dev/kfd"))


class Chosen(NamedTuple):
    """An engine, and the reason as the log gives it."""

    engine: EngineChoice
    why: str


def choose(bundle: Bundle, wanted: EngineChoice) -> Chosen:
    """Choose the fastest engine that bundle and machine allow, or the one that is wanted."""
    if wanted is not EngineChoice.AUTO:
        return Chosen(wanted, "set by TIDEGATE_SCORING__ENGINE")
    if not bundle.has(INT8_MODEL):
        return Chosen(EngineChoice.TORCH, f"the bundle has no {INT8_MODEL}")
    if not bundle.has(FLOAT_WEIGHTS):
        return _by_cpu(f"the bundle has no {FLOAT_WEIGHTS}")
    no_gpu = _why_no_gpu()
    return Chosen(EngineChoice.TORCH, "a GPU is here") if no_gpu is None else _by_cpu(no_gpu)


def choose_on_cpu(bundle: Bundle) -> Chosen:
    """Choose the engine that scores on this CPU what ended processes on the device."""
    why = "for comments that are scored alone"
    if not bundle.has(INT8_MODEL):
        return Chosen(EngineChoice.TORCH, f"{why}; the bundle has no {INT8_MODEL}")
    return _by_cpu(why)


def _why_no_gpu() -> str | None:
    """Return why no GPU can serve, or None: one can."""
    device = next(filter(Path.exists, _GPU_DEVICES), None)
    if device is None:
        return "no GPU is here"
    if gpus_are_hidden():
        return "the GPU is hidden (CUDA_VISIBLE_DEVICES)"
    if importlib.util.find_spec("torch") is None:
        return "a GPU is here, but torch is not installed"
    if device != _NVIDIA and not torch_finds_a_gpu():
        return f"{device} is here, but torch finds no GPU"
    return None


def torch_finds_a_gpu() -> bool:
    """Say whether torch would compute on a GPU; imports torch."""
    import torch  # noqa: PLC0415 - seconds, spent only where there may be one

    return torch.cuda.is_available()


def _by_cpu(no_gpu: str) -> Chosen:
    """Choose the int8 engine that is fastest on this CPU (docs/performance.md)."""
    if not lacks_vnni():
        return Chosen(EngineChoice.OPENVINO, no_gpu)
    if importlib.util.find_spec("onnxruntime") is None:
        slow = "this CPU has no VNNI: `tidegate[onnxruntime]` would be faster"
        return Chosen(EngineChoice.OPENVINO, f"{no_gpu}; {slow}")
    return Chosen(EngineChoice.ONNXRUNTIME, f"{no_gpu}; this CPU has no VNNI")
