"""From a bundle to a scorer that has proved itself: chosen, verified, primed, checked."""

import importlib.util
from pathlib import Path
from typing import Final

import structlog

from schemas.bundle import FLOAT_WEIGHTS, INT8_MODEL, TOKENIZER, verify
from schemas.errors import BundleError, SettingsError
from worker.batching import cost_of
from worker.bundle import Bundle
from worker.pulse import Pulse
from worker.scoring import golden
from worker.scoring.engine import Engine
from worker.scoring.hidden_gpu import gpus_are_hidden
from worker.scoring.scorer import Scorer
from worker.scoring.time_limit import time_limit
from worker.settings import EngineChoice, ScoringSettings
from worker.tokenise import Tokeniser

log = structlog.get_logger()

# What the drivers of a GPU leave on Linux: looked for before torch is imported, which takes
# seconds that a CPU worker does not have. The last two, WSL's and AMD's, are there for any card.
_NVIDIA: Final = Path("/dev/nvidiactl")
_GPU_DEVICES: Final = (_NVIDIA, Path("/dev/dxg"), Path("/dev/kfd"))


def load_scorer(
    bundle: Bundle, settings: ScoringSettings, tokenise: Tokeniser, pulse: Pulse
) -> Scorer:
    """Load the engine that the settings or the machine ask for, and try it.

    Must be called in the main thread before any other exists: OpenVINO deadlocks when a
    process's first inference happens in two threads at once.

    Raises:
        BundleError: a file that the engine needs is missing or was changed.
        ScoringError: the engine cannot be loaded, or scores the golden comments wrongly.
        SettingsError: the engine is not installed, or the budget is too small.
    """
    choice, why = _choose(bundle, settings.engine)
    with time_limit(settings.time_limit_s):
        engine, why = _engine(choice, why, bundle, settings, pulse)
    budget = settings.budget or engine.budget
    longest = cost_of(bundle.manifest.max_length, pads=engine.pads)
    if budget < longest:
        raise SettingsError(
            f"TIDEGATE_SCORING__BUDGET is {budget} tokens, a piece of this bundle takes {longest}",
            f"set it to {longest} or more",
        )
    scorer = Scorer(engine, bundle.manifest, budget)
    with time_limit(settings.time_limit_s):
        scorer.probabilities(tokenise([""])[0].ids)  # primes the engine
        worst = golden.check(bundle, tokenise, scorer) if bundle.hashed else None
    log.info(
        "engine ready",
        engine=engine.description,
        why=why,
        budget=budget,
        golden_difference=None if worst is None else round(worst, 4),
    )
    return scorer


def _choose(bundle: Bundle, wanted: EngineChoice) -> tuple[EngineChoice, str]:
    if wanted is not EngineChoice.AUTO:
        return wanted, "set by TIDEGATE_SCORING__ENGINE"
    if not bundle.has(INT8_MODEL):
        return EngineChoice.TORCH, f"the bundle has no {INT8_MODEL}"
    if not bundle.has(FLOAT_WEIGHTS):
        return EngineChoice.OPENVINO, f"the bundle has no {FLOAT_WEIGHTS}"
    return _best_here()


def _best_here() -> tuple[EngineChoice, str]:
    """Choose by the machine, for a bundle that bears any engine."""
    device = next(filter(Path.exists, _GPU_DEVICES), None)
    if device is None:
        return EngineChoice.OPENVINO, "no GPU is here"
    if gpus_are_hidden():
        return EngineChoice.OPENVINO, "the GPU is hidden (CUDA_VISIBLE_DEVICES)"
    if importlib.util.find_spec("torch") is None:
        return EngineChoice.OPENVINO, "a GPU is here, but torch is not installed"
    if device != _NVIDIA and not _torch_finds_a_gpu():
        return EngineChoice.OPENVINO, f"{device} is here, but torch finds no GPU"
    return EngineChoice.TORCH, "a GPU is here"


def _torch_finds_a_gpu() -> bool:
    import torch  # noqa: PLC0415 - seconds, spent only where there may be one

    return torch.cuda.is_available()


def _engine(
    choice: EngineChoice, why: str, bundle: Bundle, settings: ScoringSettings, pulse: Pulse
) -> tuple[Engine, str]:
    """Load the engine of a choice, and complete why."""
    if choice is EngineChoice.OPENVINO:
        _verify(bundle, INT8_MODEL)
        from worker.scoring.openvino_int8 import OpenVinoInt8  # noqa: PLC0415 - one engine, one import

        return OpenVinoInt8(bundle.folder / INT8_MODEL, settings.threads, pulse), why
    if (
        importlib.util.find_spec("torch") is None
        or importlib.util.find_spec("transformers") is None
    ):
        raise SettingsError(
            f"engine torch ({why}): torch and transformers are not installed",
            "install `tidegate[gpu]`, or give a bundle that carries model.int8.onnx",
        )
    _verify(bundle, FLOAT_WEIGHTS)
    from worker.scoring.torch_engine import load_torch_engine  # noqa: PLC0415 - seconds of torch

    longest = bundle.manifest.max_length
    engine, layout = load_torch_engine(bundle.folder, longest, settings.budget, pulse)
    return engine, f"{why}; {layout}"


def _verify(bundle: Bundle, weights: str) -> None:
    """Check the hashes of what is about to be read."""
    if bundle.hashed:
        verify(bundle.folder, bundle.manifest, (weights,))
    elif not bundle.has(weights) or not bundle.has(TOKENIZER):
        raise BundleError(f"checkpoint `{bundle.manifest.name}` has no {weights}")
