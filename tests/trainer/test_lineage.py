"""Rows that a bundle may know through another that it began at are not taken for unseen."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.bundle import MANIFEST, BundleManifest, content_version, read_manifest
from schemas.errors import TrainingError
from trainer.average import average
from trainer.data import LabelledFile
from trainer.ensemble import held_out_by
from trainer.export import ship
from trainer.judging import Asked, judge
from trainer.lineage import began_at, learnt_from, may_know
from trainer.predictors import predictor


def heir(manifest: BundleManifest, files: list[str], held_out: str) -> BundleManifest:
    """Return a bundle that began at another, as its manifest would be."""
    metrics = {
        "data": {"files": files, "held_out_fingerprint": held_out},
        "training": {"began_at": began_at(manifest, files, held_out)},
    }
    return manifest.model_copy(update={"metrics": metrics})


@pytest.fixture
def first(bundle: Path) -> BundleManifest:
    """A bundle of two files."""
    data = {"files": ["a.csv", "b.csv.gz"], "held_out_fingerprint": "one"}
    return read_manifest(bundle).model_copy(update={"metrics": {"data": data}})


def test_other_rows_of_the_same_file_may_be_known(first: BundleManifest) -> None:
    """Packed or not; the same rows held out are not known, and those of another file neither."""
    assert may_know(first) == []
    assert may_know(heir(first, ["a.csv", "b.csv"], "two")) == ["a.csv", "b.csv"]
    assert may_know(heir(first, ["a.csv", "b.csv"], "one")) == []
    assert may_know(heir(first, ["ours.jsonl"], "two")) == []


def test_what_was_heard_is_not_forgotten_by_a_training_in_between(first: BundleManifest) -> None:
    """Neither over rows of one's own, nor over the same mistake made twice."""
    over_ours = heir(heir(first, ["ours.jsonl"], "two"), ["a.csv"], "three")
    twice = heir(heir(first, ["a.csv"], "two"), ["a.csv"], "two")

    assert may_know(over_ours) == ["a.csv"]
    assert may_know(twice) == ["a.csv"]


def test_what_those_before_it_have_learnt_from_it_has_learnt_from_too(
    first: BundleManifest,
) -> None:
    """Nobody is to judge it by these rows unawares."""
    assert learnt_from(heir(first, ["ours.jsonl.gz"], "two")) == {"a.csv", "b.csv", "ours.jsonl"}


@pytest.fixture
def knowing(bundle: Path, tmp_path: Path) -> Path:
    """A bundle that says that it may know what it held out."""
    ship(bundle, tmp_path / "knowing")
    for file in ("model.safetensors", "model.onnx"):
        (tmp_path / "knowing" / file).hardlink_to(bundle / file)
    path = tmp_path / "knowing" / MANIFEST
    contents: dict[str, Any] = json.loads(path.read_text())
    before = {"name": "x", "version": "y", "heard": [], "may_know": ["made.csv"]}
    contents["metrics"]["training"]["began_at"] = before
    contents["version"] = content_version(contents)
    path.write_text(json.dumps(contents))
    return path.parent


def test_it_is_not_judged_by_its_held_out_rows(
    knowing: Path, made_file: Path, tmp_path: Path
) -> None:
    """The split agrees, and yet."""
    asked = Asked(models=[str(knowing)], files=[LabelledFile(made_file)], rows="held-out")

    with pytest.raises(TrainingError, match=r"began at had learnt from made\.csv when other rows"):
        judge(asked, tmp_path / "report")


def test_it_is_no_member_of_a_mean(
    knowing: Path, bundle: Path, made_file: Path, tmp_path: Path
) -> None:
    """The mean would be chosen and judged by rows that it may know."""
    with pytest.raises(TrainingError, match=r"began at a bundle that had learnt from made\.csv"):
        average([bundle, knowing], [LabelledFile(made_file)], tmp_path / "mean", name="mean")


def test_what_it_teaches_is_warned_of(knowing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Like a member of which nothing is known."""
    assert held_out_by([predictor(str(knowing))]) is None

    assert "nothing says which rows 1. tiny held out" in capfd.readouterr().err
