"""Many processes train as one: the same gradient, the same weights, one voice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rig.one_gradient import ROWS, gradient, model_of, nine_rows
from trainer.dataset import LikeLengthBatches
from trainer.distributed import ALONE
from trainer.recipe import FitSettings

ROOT = Path(__file__).parents[2]
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def under_torchrun(script: str, *arguments: object) -> str:
    """Run a script in two processes that talk by gloo, and return what they say."""
    done = subprocess.run(
        [sys.executable, *TORCHRUN, ROOT / "tests" / "rig" / script, *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("batches", ["uneven", "one"])
def test_two_processes_have_the_gradient_of_one(
    batches: str, tiny_base: Path, made_file: Path, tmp_path: Path
) -> None:
    """On the same rows, within 1e-6, although they are not dealt evenly.

    Five batches for two processes, the labels known in one four times as many as in the other;
    or one batch, of which the second process gets none.
    """
    dataset = nine_rows(str(tiny_base), made_file)
    longest = max(dataset.lengths)
    budget = {"uneven": 2 * longest, "one": ROWS * longest}[batches]

    under_torchrun("one_gradient.py", tiny_base, made_file, tmp_path / "gradient", budget)

    of_two = load_file(tmp_path / "gradient")["gradient"]
    whole = LikeLengthBatches(dataset.lengths, ROWS * longest)
    of_one = gradient(model_of(str(tiny_base)), dataset, whole, 1, ALONE)
    assert of_one.abs().max() > 1e-3
    torch.testing.assert_close(of_two, of_one, atol=1e-6, rtol=0)


def test_two_processes_end_with_the_same_weights_and_one_of_them_speaks(
    tiny_base: Path, made_file: Path, tmp_path: Path
) -> None:
    """They judge and choose alike, and a run of theirs that is over goes on from its end."""
    settings = FitSettings(epochs=2, token_budget=256, ema_decay=0.5, checkpoint_every_s=0)
    arguments = (tiny_base, made_file, tmp_path, settings.model_dump_json())

    said = under_torchrun("small_run.py", *arguments)

    ends = [(tmp_path / f"weights-{rank}.safetensors").read_bytes() for rank in range(2)]
    assert ends[0] == ends[1]
    assert said.count("device: ") == 1
    assert "going on from step" in under_torchrun("small_run.py", *arguments)
    assert (tmp_path / "weights-1.safetensors").read_bytes() == ends[0]
