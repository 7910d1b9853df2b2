"""One engine on the GPU, for `benchmarks.gpu`: says what it is, then measures when it is told.

A JSON object a line: first about itself, then a lone comment's milliseconds and the comments a
second of each round, which begins with a line on stdin.
"""

import json
import sys
from collections.abc import Sequence
from statistics import median
from time import monotonic
from typing import Any, Final

import torch

from benchmarks.gpu import MODELS
from benchmarks.texts import real_texts
from rig.classifiers import random_classifier
from rig.stub import stub_manifest
from worker.bundle import open_bundle
from worker.pulse import Pulse
from worker.scoring.engine import Engine
from worker.scoring.flat_inputs import Eager
from worker.scoring.flat_weights import flat_encoder_of
from worker.scoring.scorer import Scorer
from worker.scoring.torch_device import TorchDevice, choose_device, look
from worker.scoring.torch_engine import flat_engine
from worker.scoring.torch_flat import TorchFlat
from worker.scoring.torch_float import TorchFloat
from worker.scoring.varlen import gpu_attention
from worker.settings import Settings
from worker.tokenise import BundleTokeniser

COUNT: Final = 20_000
WINDOW: Final = 2_000  # comments, as the worker takes them
LONGEST: Final = 256
SECONDS: Final = 3.0


def main(model: str, engine: str) -> None:
    """Load, say so, and measure as often as asked."""
    source, pieces = _pieces()
    device = choose_device(look())
    engine, _, budget = engine.partition("@")
    if budget:
        device = device._replace(budget=int(budget))
    scorer = Scorer(_engine(model, engine, device), stub_manifest(), device.budget)
    _rate(scorer, pieces)  # warms up
    tokens = sum(map(len, pieces))
    about = {
        "device": device.name,
        "comments": source,
        "tokens_a_comment": tokens / len(pieces),
        "beside": sum(len(piece) ** 2 for piece in pieces) / tokens,  # tokens that a token sees
    }
    print(json.dumps(about), flush=True)
    for _ in sys.stdin:
        found = {"lone_ms": _lone_ms(scorer), "comments_per_s": _rate(scorer, pieces)}
        print(json.dumps(found), flush=True)


def _pieces() -> tuple[str, list[Sequence[int]]]:
    """Return where the comments are from, and each one's ids, cut at LONGEST."""
    source, texts = real_texts(COUNT)
    bundle = open_bundle(Settings().bundle, allow_unsigned=False)
    tokenise = BundleTokeniser(bundle.folder / "tokenizer.json", LONGEST, overlap=0, most=2)
    return source, [found.ids[0] for found in tokenise(texts)]


def _engine(name: str, engine: str, device: TorchDevice) -> Engine:
    model = _model(name)
    if engine in {"graphs", "fp8"}:
        return flat_engine(model, device._replace(fp8=engine == "fp8"), LONGEST, Pulse())
    if engine == "padded":
        return TorchFloat(model.to(device.dtype), device, Pulse())
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch types it not
    with torch.cuda.stream(stream):
        encoder = flat_encoder_of(model, gpu_attention()).to(device.torch, device.dtype)
    return TorchFlat(Eager(encoder, device.torch), device.budget, engine, Pulse(), stream)


def _model(name: str) -> Any:
    """Return a classifier of such a shape, its vocabulary and positions those of BERT."""
    shape = MODELS[name]
    return random_classifier(
        "bert",
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        num_attention_heads=12,
        intermediate_size=4 * shape.hidden,
    )


def _lone_ms(scorer: Scorer) -> float:
    """Return the median of a comment of 40 tokens, one after another."""
    took = []
    for number in range(200):
        began = monotonic()
        scorer.probabilities([[101, *range(1_000 + number, 1_038 + number), 102]])
        took.append(monotonic() - began)
    return round(median(took) * 1_000, 3)


def _rate(scorer: Scorer, pieces: Sequence[Sequence[int]]) -> float:
    """Score windows in turn for SECONDS; return the comments a second."""
    scored, began = 0, monotonic()
    while monotonic() < began + SECONDS:
        window = pieces[scored % COUNT : scored % COUNT + WINDOW]
        scorer.probabilities(window)
        scored += len(window)
    return scored / (monotonic() - began)


if __name__ == "__main__":
    main(*sys.argv[1:])
