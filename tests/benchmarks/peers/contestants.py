"""Who is measured, each as its own documentation sets it up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.machine import has_bf16
from benchmarks.peers.files import DYNAMIC_INT8
from schemas.bundle import FLOAT_MODEL, INT8_MODEL

OURS: Final = "tidegate"
OUR_API: Final = "tidegate, as its API loads it"
REFERENCE: Final = "torch fp32"  # whose probabilities the others' are held against
AFTERNOON: Final = "transformers.pipeline, one at a time"
BATCHES: Final = (8, 32)  # the pipeline's, beside 1: its best is found in the run


@dataclass(frozen=True, slots=True)
class Contestant:
    """An engine of the scoring benchmark.

    Attributes:
        name: as the table has it.
        family: contestants of one family are ways to run one peer; its best one counts.
        module: of `benchmarks.peers.engines`.
        options: of its `load`.
        overlay: the lock of its packages, where they are not in the full install.
        lacking: why this machine cannot run it, if it cannot.
    """

    name: str
    family: str
    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    overlay: str | None = None
    lacking: str | None = None


def contestants() -> Sequence[Contestant]:
    """Return all of them, ours first and the reference behind."""
    no_bf16 = None if has_bf16() else "this processor does not compute in bf16"
    bare = "bare engines"
    return (
        Contestant(OURS, OURS, "tidegate"),
        Contestant(OUR_API, OURS, "tidegate", {"lone_first": True}),
        Contestant(REFERENCE, bare, "torch_bare", {"number_type": "float32"}),
        Contestant("torch bf16", bare, "torch_bare", {"number_type": "bfloat16"}, lacking=no_bf16),
        Contestant("ONNX Runtime fp32", bare, "onnxruntime_bare", {"file": FLOAT_MODEL}),
        Contestant("ONNX Runtime int8", bare, "onnxruntime_bare", {"file": INT8_MODEL}),
        Contestant("ONNX Runtime dynamic int8", bare, "onnxruntime_bare", {"file": DYNAMIC_INT8}),
        Contestant(
            "OpenVINO fp32", bare, "openvino_bare", {"file": FLOAT_MODEL, "number_type": "f32"}
        ),
        Contestant(
            "OpenVINO bf16",
            bare,
            "openvino_bare",
            {"file": FLOAT_MODEL, "number_type": "bf16"},
            lacking=no_bf16,
        ),
        Contestant("OpenVINO int8", bare, "openvino_bare", {"file": INT8_MODEL}),
        Contestant(AFTERNOON, "transformers.pipeline", "pipeline", {"batch": 1}),
        *(
            Contestant(
                f"transformers.pipeline, batches of {batch}",
                "transformers.pipeline",
                "pipeline",
                {"batch": batch},
            )
            for batch in BATCHES
        ),
        Contestant(
            "Detoxify, lists of 32", "Detoxify", "detoxify", {"batch": 32}, overlay="detoxify"
        ),
        Contestant(
            "infinity-emb, torch", "infinity-emb", "infinity", {"engine": "torch"}, "infinity"
        ),
        Contestant(
            "infinity-emb, optimum int8",
            "infinity-emb",
            "infinity",
            {"engine": "optimum"},
            "infinity",
        ),
    )
