"""The whole run: from labelled files to a bundle, and what it refuses before it starts."""

from pathlib import Path

import pytest

from schemas.bundle import read_manifest, verify
from schemas.errors import TrainingError
from trainer.command import train


@pytest.mark.data
@pytest.mark.timeout(900)
def test_twenty_steps_on_the_real_file_make_a_bundle(
    six_labels: Path, tiny_base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """1,503 rows with twelve threats are enough for a smoke run; stdout stays empty."""
    train([six_labels], tmp_path / "out", str(tiny_base), max_steps=20, max_length=48)

    manifest = read_manifest(tmp_path / "out")
    verify(tmp_path / "out", manifest, tuple(manifest.files))
    assert manifest.metrics["training"]["steps"] == 20
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "threat" in printed.err


def test_a_length_that_the_base_cannot_take_is_refused_with_both_numbers(
    made_file: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """Nothing is trained, nothing is left behind."""
    with pytest.raises(TrainingError, match="--max-length is 512, the base takes 8 to 64"):
        train([made_file], tmp_path / "out", str(tiny_base), max_length=512)

    assert list(tmp_path.iterdir()) == []


def test_the_tiny_model_learnt_the_words(bundle: Path) -> None:
    """Where a label is a word, a few seconds of training find it: far above chance."""
    held_out = read_manifest(bundle).metrics["held_out"]

    assert held_out["mean_roc_auc"] > 0.8
