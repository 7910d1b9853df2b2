"""What products in fp8 cost the scores: the shipped model's, against fp32, and bf16's beside it.

python -m benchmarks.fp8_loss

Its float weights are read back from its int8 file (`trainer.restore`), so that nothing need be
trained. On a GPU both are computed there; on a CPU fp8 is what a card would round to, computed
by torch, and bf16 is left out. Needs the labelled comments of TIDEGATE_DATA.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from sklearn.metrics import roc_auc_score
from transformers import BertForSequenceClassification

from benchmarks.machine import machine
from benchmarks.texts import data_folder
from schemas.bundle import TOKENIZER
from trainer.data import is_set, read_files
from trainer.quantise import difference
from trainer.restore import float_weights
from worker.bundle import open_bundle
from worker.pulse import Pulse
from worker.scoring.checkpoint import read_config
from worker.scoring.engine import Engine
from worker.scoring.scorer import Scorer
from worker.scoring.torch_device import CPU_ALONE, Found, look
from worker.scoring.torch_engine import load_torch_engine
from worker.settings import NumberType, ScoringSettings, Settings
from worker.tokenise import BundleTokeniser

LABELLED: Final = "jigsaw-six-labels.csv"


def measure() -> dict[str, Any]:
    """Score the labelled comments in each number type, and compare."""
    bundle = open_bundle(Settings().bundle, allow_unsigned=False)
    manifest, here = bundle.manifest, look()
    rows = read_files([data_folder() / LABELLED])
    tokenise = BundleTokeniser(bundle.folder / TOKENIZER, manifest.max_length, overlap=0, most=2)
    pieces = [found.ids[0] for found in tokenise(rows.texts)]
    how = {"fp32": (CPU_ALONE, NumberType.BF16), "fp8": (here, NumberType.FP8)}
    if here.card is not None:
        how["bf16"] = here, NumberType.BF16
    with TemporaryDirectory() as name:
        folder, scores = _restored(bundle.folder, Path(name)), {}
        for each, which in how.items():
            engine = _engine(folder, manifest.max_length, *which)
            scores[each] = Scorer(engine, manifest, engine.budget).probabilities(pieces)
    thresholds = [manifest.thresholds[label] for label in manifest.labels]
    compared = {
        each: {
            "mean_auc": round(float(roc_auc_score(is_set(rows.labels), found)), 5),
            **difference(scores["fp32"], found, thresholds),
        }
        for each, found in scores.items()
    }
    return {
        "machine": machine(),
        "device": "CPU" if here.card is None else here.card.name,
        "comments": f"{len(pieces):,} of {LABELLED}",
        "model": f"{manifest.name}/{manifest.version}",
        **compared,
    }


def _restored(shipped: Path, folder: Path) -> Path:
    """Write the float weights of a bundle that was shipped without them."""
    config = read_config(shipped)
    model = BertForSequenceClassification(config)
    model.load_state_dict(float_weights(shipped, config), strict=False)
    model.save_pretrained(folder)
    return folder


def _engine(folder: Path, longest: int, found: Found, number_type: NumberType) -> Engine:
    settings = ScoringSettings(number_type=number_type)
    engine, _ = load_torch_engine(folder, longest, settings, Pulse(), found)
    print(engine.description, file=sys.stderr)
    return engine


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
