"""From a bundle to a scorer that has proved itself: chosen, verified, primed, checked."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from schemas.bundle import FLOAT_WEIGHTS, INT8_MODEL, TOKENIZER, verify
from schemas.errors import BundleError, ScoringError, SettingsError
from worker.batching import width_for
from worker.bundle import Bundle
from worker.pulse import Pulse
from worker.scoring import golden
from worker.scoring.choice import Chosen, choose, choose_on_cpu, torch_finds_a_gpu
from worker.scoring.engine import Engine
from worker.scoring.scorer import Scorer
from worker.scoring.time_limit import time_limit
from worker.settings import EngineChoice, NumberType, ScoringSettings
from worker.tokenise import Tokeniser

log = structlog.get_logger()

# What an engine needs beside the light set: modules, and the extra that brings them.
NEEDS: Final[Mapping[EngineChoice, tuple[Sequence[str], str]]] = {
    EngineChoice.OPENVINO: ((), ""),
    EngineChoice.ONNXRUNTIME: (("onnxruntime",), "onnxruntime"),
    EngineChoice.TORCH: (("torch", "transformers"), "gpu"),
}


def load_scorer(
    bundle: Bundle,
    settings: ScoringSettings,
    tokenise: Tokeniser,
    pulse: Pulse,
    *,
    lone_first: bool = False,
) -> Scorer:
    """Load the engine that the settings or the machine ask for, and try it.

    Must be called in the main thread before any other exists: OpenVINO deadlocks when a
    process's first inference happens in two threads at once.

    Args:
        bundle: what is loaded.
        settings: of the engine.
        tokenise: for the golden comments.
        pulse: beaten as micro-batches end.
        lone_first: whether a comment that comes alone is scored as soon as all cores together can,
            which costs memory, and whoever else wants the cores.

    Raises:
        BundleError: a file that the engine needs is missing or was changed.
        ScoringError: the engine cannot be loaded, or scores the golden comments wrongly.
        SettingsError: the engine is not installed, has no such number type, or the budget is too
            small.
    """
    chosen = choose(bundle, settings.engine)
    if settings.number_type is NumberType.FP8 and chosen.engine is not EngineChoice.TORCH:
        raise SettingsError(
            f"TIDEGATE_SCORING__NUMBER_TYPE is fp8, which torch alone computes; {chosen.engine} "
            f"scores here: {chosen.why}",
            "leave it out, or set TIDEGATE_SCORING__ENGINE=torch",
        )
    return _proved(chosen, bundle, settings, tokenise, pulse, lone_first=lone_first)


def load_for_alone(
    usual: Scorer, bundle: Bundle, settings: ScoringSettings, tokenise: Tokeniser, pulse: Pulse
) -> Scorer:
    """Load a scorer on the CPU, for comments that may end processes; `usual` if it is on the CPU.

    Called like `load_scorer`, and raises what that raises.
    """
    if choose(bundle, settings.engine).engine is not EngineChoice.TORCH or not torch_finds_a_gpu():
        return usual
    return _proved(choose_on_cpu(bundle), bundle, settings, tokenise, pulse, on_cpu=True)


def _proved(  # noqa: PLR0913 - what an engine is made of, and proved by
    chosen: Chosen,
    bundle: Bundle,
    settings: ScoringSettings,
    tokenise: Tokeniser,
    pulse: Pulse,
    *,
    on_cpu: bool = False,
    lone_first: bool = False,
) -> Scorer:
    with time_limit(settings.time_limit_s):
        engine, why = _engine(chosen, bundle, settings, pulse, on_cpu=on_cpu, lone_first=lone_first)
    longest = width_for(bundle.manifest.max_length, engine.layout)
    budget = settings.budget or max(engine.budget, longest)
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


def _engine(  # noqa: PLR0913 - what an engine is made of
    chosen: Chosen,
    bundle: Bundle,
    settings: ScoringSettings,
    pulse: Pulse,
    *,
    on_cpu: bool,
    lone_first: bool,
) -> tuple[Engine, str]:
    """Load the engine that was chosen, and complete why."""
    _needs_installed(chosen)
    if chosen.engine is EngineChoice.TORCH:
        engine, layout = _torch(bundle, settings, pulse, on_cpu=on_cpu)
        return engine, f"{chosen.why}; {layout}"
    _verify(bundle, INT8_MODEL)
    model = bundle.folder / INT8_MODEL
    return int8_engine(
        chosen.engine, model, settings.threads, pulse, lone_first=lone_first
    ), chosen.why


def _needs_installed(chosen: Chosen) -> None:
    modules, extra = NEEDS[chosen.engine]
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise SettingsError(
            f"engine {chosen.engine} ({chosen.why}): not installed: {', '.join(missing)}",
            f"install `tidegate[{extra}]`, or have openvino score a bundle with {INT8_MODEL}",
        )


def int8_engine(
    engine: EngineChoice,
    model: Path,
    threads: int | None,
    pulse: Pulse,
    *,
    lone_first: bool = False,
) -> Engine:
    """Load one of the two engines of the int8 file; the other one is not imported.

    Args:
        engine: which of them.
        model: the file.
        threads: micro-batches at once; None: one a core.
        pulse: beaten as they end.
        lone_first: as `load_scorer` has it.

    Raises:
        ScoringError: the engine's library or the file cannot be loaded.
    """
    try:
        loaded = _loaded(engine, lone_first=lone_first)
    except ImportError as error:
        raise ScoringError(
            f"engine {engine} is installed and cannot be loaded: {error}",
            "set TIDEGATE_SCORING__ENGINE to another one, or mend the installation",
        ) from error
    return loaded(model, threads, pulse)


def _loaded(
    engine: EngineChoice, *, lone_first: bool
) -> Callable[[Path, int | None, Pulse], Engine]:
    if engine is EngineChoice.ONNXRUNTIME:
        from worker.scoring.onnxruntime_int8 import OnnxRuntimeInt8  # noqa: PLC0415

        return partial(OnnxRuntimeInt8, lone_first=lone_first)
    from worker.scoring.openvino_int8 import OpenVinoInt8  # noqa: PLC0415

    return partial(OpenVinoInt8, lone_first=lone_first)


def _torch(
    bundle: Bundle, settings: ScoringSettings, pulse: Pulse, *, on_cpu: bool
) -> tuple[Engine, str]:
    _verify(bundle, FLOAT_WEIGHTS)
    from worker.scoring.torch_device import CPU_ALONE, look  # noqa: PLC0415 - seconds of torch
    from worker.scoring.torch_engine import load_torch_engine  # noqa: PLC0415 - the same

    found = CPU_ALONE if on_cpu else look()
    longest = bundle.manifest.max_length
    return load_torch_engine(bundle.folder, longest, settings, pulse, found)


def _verify(bundle: Bundle, weights: str) -> None:
    """Check the hashes of what is about to be read."""
    if bundle.hashed:
        verify(bundle.folder, bundle.manifest, (weights,))
    elif not bundle.has(weights) or not bundle.has(TOKENIZER):
        raise BundleError(f"checkpoint `{bundle.manifest.name}` has no {weights}")
