"""Whoever is judged: bundles in float and int8, and any checkpoint of several labels."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from schemas.bundle import FLOAT_WEIGHTS, GOLDEN, GoldenComments
from schemas.errors import BundleError, TrainingError
from schemas.labels import LABELS
from trainer import predictors
from trainer.export import ship

CHECKPOINT = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


@pytest.fixture
def checkpoint(bundle: Path, tmp_path: Path) -> Path:
    """The bundle as others publish a model: without manifest, calibration and thresholds."""
    folder = tmp_path / "peer"
    folder.mkdir()
    for name in CHECKPOINT:
        shutil.copy(bundle / name, folder / name)
    return folder


def relabelled(folder: Path, *names: str, **settings: str) -> None:
    """Give a checkpoint other names of labels, and other settings."""
    config = json.loads((folder / "config.json").read_bytes())
    config["id2label"] = dict(enumerate(names))
    config["label2id"] = {name: i for i, name in enumerate(names)}
    (folder / "config.json").write_text(json.dumps(config | settings))


def test_a_bundle_in_float_gives_its_golden_probabilities_and_int8_nearly(bundle: Path) -> None:
    """Cleaning, calibration and the order of the labels are the bundle's."""
    golden = GoldenComments.model_validate_json((bundle / GOLDEN).read_bytes())
    texts = [comment.text for comment in golden.comments]
    expected = np.asarray([[c.scores[label] for label in LABELS] for c in golden.comments])

    exact = predictors.predictor(str(bundle))
    quantised = predictors.int8(bundle)

    assert exact.of(texts, LABELS) == pytest.approx(expected, abs=1e-4)
    assert np.abs(quantised.of(texts, LABELS) - expected).max() <= golden.tolerance
    assert (exact.name, quantised.name) == ("tiny", "tiny (int8)")


def test_a_bundle_without_float_weights_is_judged_in_int8(bundle: Path, tmp_path: Path) -> None:
    """As it was shipped."""
    ship(bundle, tmp_path / "shipped")

    assert predictors.predictor(str(tmp_path / "shipped")).name == "tiny (int8)"


def test_a_bundle_that_was_changed_is_refused(bundle: Path, tmp_path: Path) -> None:
    """Its figures would be another's."""
    copy = shutil.copytree(bundle, tmp_path / "copy")
    with (copy / FLOAT_WEIGHTS).open("ab") as file:
        file.write(b"x")

    with pytest.raises(BundleError, match="sha256"):
        predictors.predictor(str(copy))


def test_a_checkpoint_is_judged_by_its_sigmoid_at_one_half(checkpoint: Path, bundle: Path) -> None:
    """The same weights without calibration: another number, the same order."""
    peer, ours = predictors.predictor(str(checkpoint)), predictors.predictor(str(bundle))
    texts = ["thanks for the photo", "you rotten idiot", "vile vermin"]

    assert set(peer.thresholds.values()) == {0.5}
    found, expected = peer.of(texts, LABELS), ours.of(texts, LABELS)
    assert (found.argsort(axis=0) == expected.argsort(axis=0)).all()
    assert np.abs(found - expected).max() > 0.001


def test_labels_under_the_names_of_others_are_found_and_strange_ones_left_out(
    checkpoint: Path,
) -> None:
    """Detoxify says toxicity and identity_attack; spam is no label of ours."""
    relabelled(checkpoint, "toxicity", "severe_toxicity", "spam", "threat", "x", "identity_attack")

    peer = predictors.predictor(str(checkpoint))

    assert peer.labels == ("toxic", "severe_toxic", "threat", "identity_hate")
    assert peer.probabilities(["hello"]).shape == (1, 4)


@pytest.mark.parametrize(
    ("names", "settings", "message"),
    [
        (["a", "b", "c", "d", "e", "f"], {}, "none of its labels"),
        (LABELS, {"problem_type": "single_label_classification"}, "exclude each other"),
    ],
)
def test_a_model_that_judges_something_else_is_refused(
    checkpoint: Path, names: list[str], settings: dict[str, str], message: str
) -> None:
    """With the labels that it has."""
    relabelled(checkpoint, *names, **settings)

    with pytest.raises(TrainingError, match=message):
        predictors.predictor(str(checkpoint))


def test_weights_that_could_run_code_are_not_loaded(checkpoint: Path) -> None:
    """Only safetensors are."""
    (checkpoint / FLOAT_WEIGHTS).rename(checkpoint / "pytorch_model.bin")

    with pytest.raises(TrainingError, match="cannot be loaded"):
        predictors.predictor(str(checkpoint))


def test_a_folder_that_holds_no_model_is_named(tmp_path: Path) -> None:
    """Neither a bundle nor a checkpoint."""
    with pytest.raises(BundleError, match=r"neither bundle\.json nor config\.json"):
        predictors.predictor(str(tmp_path))
