"""D1 and D2 on a GPU: memory that is really full, a device that really broke."""

import subprocess
import sys
from typing import Final

import numpy as np
import pytest
import torch

from rig.classifiers import VOCABULARY, random_classifier
from rig.stream import PATH
from rig.stub import stub_manifest
from worker.pulse import Pulse
from worker.scoring.scorer import Scorer
from worker.scoring.torch_device import choose_device, look
from worker.scoring.torch_float import TorchFloat

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

LONG: Final = 256  # tokens
PIECES: Final = 256
BUDGET: Final = LONG * PIECES
ROOM: Final = 192 * 2**20  # bytes; what lies between two layers takes 400 MB at this budget

BREAKS: Final = """
from rig.classifiers import VOCABULARY, random_classifier
from schemas.errors import ScoringError
from worker.pulse import Pulse
from worker.scoring.engine import DeviceMemoryError
from worker.scoring.torch_device import choose_device, look
from worker.scoring.torch_engine import flat_engine

model = random_classifier("bert", vocab_size=VOCABULARY)
engine = flat_engine(model, choose_device(look()), longest=64, pulse=Pulse())
assert engine.logits([[[[1, 2, 3]]]])[0].shape == (1, 6)
for pieces in ([[1, 10 ** 6, 3]], [[1, 2, 3]]):  # a token that is none, and a comment like any
    try:
        engine.logits([[pieces]])
    except DeviceMemoryError:
        raise
    except ScoringError as error:
        print(error.what)
"""


def test_d1_memory_that_is_full_halves_the_budget_and_changes_no_score() -> None:
    """And what was taken for the micro-batch that did not fit is given back."""
    model = random_classifier("bert", vocab_size=VOCABULARY, initializer_range=0.05)
    device = choose_device(look())
    engine = TorchFloat(model.to(device.dtype), device, Pulse())
    random = np.random.default_rng(0)
    pieces = random.integers(5, VOCABULARY, (PIECES, LONG)).tolist()
    expected = Scorer(engine, stub_manifest(), BUDGET).probabilities(pieces)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties().total_memory
    scorer = Scorer(engine, stub_manifest(), BUDGET)

    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + ROOM) / total)
    try:
        found = scorer.probabilities(pieces)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)

    assert scorer._budget < BUDGET  # noqa: SLF001 - what the metric shows
    assert not np.isnan(found).any()
    assert np.abs(found - expected).max() < 0.05


def test_d2_a_device_that_broke_is_said_at_once_and_trusted_no_more() -> None:
    """Each call after it fails, too, whatever it is given: no comment may be condemned by that."""
    done = subprocess.run(
        [sys.executable, "-c", BREAKS],
        env={"PYTHONPATH": PATH, "CUDA_LAUNCH_BLOCKING": "0"},
        capture_output=True,
        text=True,
        check=False,
    )

    errors = [line for line in done.stdout.splitlines() if "AcceleratorError" in line]
    assert len(errors) == 2, done.stdout + done.stderr[-2_000:]
