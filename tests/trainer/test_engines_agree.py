"""A bundle that the trainer made runs in the worker, by either engine, with the same result."""

import csv
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from schemas.bundle import INT8_MODEL
from trainer.calibrate import Scale
from trainer.quantise import by_onnxruntime
from worker.bundle import Bundle, open_bundle
from worker.pulse import Pulse
from worker.scoring.load import load_scorer
from worker.scoring.scorer import Scorer
from worker.settings import EngineChoice, ScoringSettings
from worker.tokenise import BundleTokeniser

# int8 against float, by how many of a hundred probabilities keep to it. The farthest of 2,400 says
# little of a model that was trained for seconds: 0.16 by OpenVINO, 0.006 by ONNX Runtime. The
# shipped bundle's card has what was measured there.
BOUND = 0.1
KEEP_TO_IT = 99
INT8 = [EngineChoice.OPENVINO, EngineChoice.ONNXRUNTIME]


@pytest.fixture(scope="module")
def opened(bundle: Path) -> Bundle:
    """The bundle, as a worker opens it."""
    return open_bundle(str(bundle), allow_unsigned=False)


@pytest.fixture(scope="module")
def tokenise(opened: Bundle) -> BundleTokeniser:
    """The bundle's tokeniser."""
    file = opened.folder / "tokenizer.json"
    return BundleTokeniser(file, opened.manifest.max_length, overlap=8, most=4)


@pytest.fixture(scope="module")
def pieces(made_file: Path, tokenise: BundleTokeniser) -> list[Sequence[int]]:
    """400 comments in pieces."""
    with made_file.open(encoding="utf-8", newline="") as rows:
        texts = [row["comment_text"] for row in csv.DictReader(rows)]
    return [piece for found in tokenise(texts) for piece in found.ids]


def scorer_of(opened: Bundle, tokenise: BundleTokeniser, engine: EngineChoice) -> Scorer:
    """Load an engine; it has to score the bundle's golden comments rightly."""
    return load_scorer(opened, ScoringSettings(engine=engine), tokenise, Pulse())


@pytest.mark.parametrize("engine", INT8)
def test_int8_and_float_give_the_same_probabilities_within_a_bound(
    opened: Bundle, tokenise: BundleTokeniser, pieces: list[Sequence[int]], engine: EngineChoice
) -> None:
    """An engine in int8 and torch in float differ by less than BOUND, and hardly in the mean."""
    int8 = scorer_of(opened, tokenise, engine).probabilities(pieces)
    exact = scorer_of(opened, tokenise, EngineChoice.TORCH).probabilities(pieces)

    assert exact.std(axis=0).min() > 0.01, "a model that says the same of all proves nothing"
    apart = np.abs(int8 - exact)
    assert float(np.percentile(apart, KEEP_TO_IT)) < BOUND
    assert float(apart.mean()) < BOUND / 10


@pytest.mark.parametrize("engine", [*INT8, EngineChoice.TORCH])
def test_a_comments_score_does_not_lean_on_its_neighbours(
    opened: Bundle, tokenise: BundleTokeniser, pieces: list[Sequence[int]], engine: EngineChoice
) -> None:
    """Alone or in a window of 400, the probabilities are the same within 0.01."""
    scorer = scorer_of(opened, tokenise, engine)
    together = scorer.probabilities(pieces)

    alone = np.concatenate([scorer.probabilities([piece]) for piece in pieces[:50]])

    assert float(np.abs(alone - together[:50]).max()) < 0.01


def test_what_a_card_states_of_onnxruntime_is_what_a_worker_computes(
    opened: Bundle, tokenise: BundleTokeniser, pieces: list[Sequence[int]]
) -> None:
    """The same settings on either side, whose code has nothing in common."""
    worker = scorer_of(opened, tokenise, EngineChoice.ONNXRUNTIME)
    trainer = by_onnxruntime(opened.folder / INT8_MODEL)
    dataset: Any = [SimpleNamespace(ids=torch.tensor(piece)) for piece in pieces[:100]]

    found = np.concatenate([worker.probabilities([piece]) for piece in pieces[:100]])

    stated = Scale.of(opened.manifest).probabilities(trainer.logits_alone(dataset, range(100)))
    np.testing.assert_allclose(found, stated, atol=1e-5)


def test_a_checkpoint_without_a_manifest_is_scored_if_it_is_trusted(
    opened: Bundle, tokenise: BundleTokeniser, pieces: list[Sequence[int]], tmp_path: Path
) -> None:
    """The three files of any hub checkpoint are enough, and its raw sigmoid comes out."""
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / name).symlink_to(opened.folder / name)
    checkpoint = open_bundle(str(tmp_path), allow_unsigned=True)

    scores = scorer_of(checkpoint, tokenise, EngineChoice.AUTO).probabilities(pieces[:20])

    assert opened.manifest.labels == checkpoint.manifest.labels
    assert scores.shape == (20, 6)
    assert bool(((scores > 0) & (scores < 1)).all())
