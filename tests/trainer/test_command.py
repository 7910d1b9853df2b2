"""The whole run: from labelled files to a bundle, and what it refuses before it starts."""

import errno
import re
from pathlib import Path

import pytest

from schemas.bundle import read_manifest, verify
from schemas.errors import TrainingError
from trainer import graph
from trainer.command import train
from trainer.data import LabelledFile
from trainer.recipe import FitSettings


@pytest.mark.data
@pytest.mark.timeout(900)
def test_twenty_steps_on_the_real_file_make_a_bundle(
    six_labels: Path, tiny_base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """1,503 rows with twelve threats are enough for a smoke run; stdout stays empty."""
    settings = FitSettings(max_steps=20)

    train(
        [LabelledFile(six_labels)],
        tmp_path / "out",
        str(tiny_base),
        settings=settings,
        max_length=48,
    )

    manifest = read_manifest(tmp_path / "out")
    verify(tmp_path / "out", manifest, tuple(manifest.files))
    assert manifest.metrics["training"]["steps"] == 20
    assert manifest.metrics["training"]["settings"] == settings.model_dump(mode="json")
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "threat" in printed.err
    beside = {path.name for path in (tmp_path / "out.run").iterdir()}
    assert beside == {"data.json", "data.md", "data.png", "tensorboard"}


def test_a_length_that_the_base_cannot_take_is_refused_with_both_numbers(
    made_file: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """Nothing is trained, nothing is left behind."""
    with pytest.raises(TrainingError, match="--max-length is 512, the base takes 8 to 64"):
        train([LabelledFile(made_file)], tmp_path / "out", str(tiny_base), max_length=512)

    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_bundle_could_not_be_written_is_not_trained_again(
    made_file: Path,
    tiny_base: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its last checkpoint stays until the bundle is there; `fresh` takes it away."""

    def full_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(graph, "write_onnx", full_disk)
    out = tmp_path / "out"

    for fresh in (False, False, True):
        with pytest.raises(TrainingError, match="cannot be written: No space left"):
            train(
                [LabelledFile(made_file)],
                out,
                str(tiny_base),
                settings=FitSettings(max_steps=2),
                max_length=48,
                fresh=fresh,
            )

    said = capfd.readouterr().err
    assert re.findall(r"going on from step \d+|step 2/2: held-out", said) == [
        "step 2/2: held-out",
        "going on from step 2",
        "step 2/2: held-out",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["out.run"]


def test_the_tiny_model_learnt_the_words(bundle: Path) -> None:
    """Where a label is a word, a few seconds of training find it: far above chance."""
    held_out = read_manifest(bundle).metrics["held_out"]

    assert held_out["mean_roc_auc"] > 0.8
