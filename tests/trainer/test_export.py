"""The bundle that the command writes: whole, readable by others, and true to its manifest."""

import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors import SafetensorError
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from schemas.bundle import (
    FLOAT_MODEL,
    FLOAT_WEIGHTS,
    GOLDEN,
    INT8_MODEL,
    MANIFEST,
    BundleManifest,
    GoldenComments,
    read_manifest,
    verify,
)
from schemas.errors import BundleError, TrainingError
from schemas.labels import LABELS
from trainer import golden
from trainer.export import ship, unfinished


def test_the_manifest_verifies_with_every_file_that_it_lists(bundle: Path) -> None:
    """Hashes, version and the files are of one piece."""
    manifest = read_manifest(bundle)

    verify(bundle, manifest, tuple(manifest.files))

    assert tuple(manifest.labels) == LABELS
    beside = {path.name for path in bundle.iterdir()} - set(manifest.files)
    assert beside == {MANIFEST, "README.md"}


def test_transformers_opens_it_and_finds_the_golden_probabilities(bundle: Path) -> None:
    """Model, tokeniser with its cleaning, labels and calibration are all in the folder."""
    manifest = read_manifest(bundle)
    model = AutoModelForSequenceClassification.from_pretrained(bundle).eval()
    tokenizer = AutoTokenizer.from_pretrained(bundle)
    comments = GoldenComments.model_validate_json((bundle / GOLDEN).read_bytes()).comments

    assert model.config.problem_type == "multi_label_classification"
    assert tuple(model.config.id2label[i] for i in range(6)) == LABELS
    for comment in comments:
        with torch.inference_mode():
            logits = model(**tokenizer(comment.text, return_tensors="pt")).logits[0].tolist()
        for label, logit in zip(LABELS, logits, strict=True):
            scaling = manifest.calibration[label]
            found = 1 / (1 + np.exp(-(scaling.slope * logit + scaling.intercept)))
            assert found == pytest.approx(comment.scores[label], abs=1e-4)


def test_the_golden_comments_fit_a_piece_and_their_tolerance_is_of_use(bundle: Path) -> None:
    """None is cut, and an engine that is wrong cannot pass."""
    stated = GoldenComments.model_validate_json((bundle / GOLDEN).read_bytes())
    tokenizer, length = AutoTokenizer.from_pretrained(bundle), read_manifest(bundle).max_length

    assert golden.LEAST_TOLERANCE <= stated.tolerance <= golden.MOST_TOLERANCE
    assert len(stated.comments) > len(golden.TEXTS) / 2
    assert max(len(tokenizer(c.text)["input_ids"]) for c in stated.comments) <= length


def test_no_path_of_this_machine_is_in_the_bundle(bundle: Path) -> None:
    """What is written can be published."""
    for path in bundle.iterdir():
        contents = path.read_bytes()
        assert re.search(rb"/(?:work|home|root|tmp|Users)/", contents) is None, path.name


def test_the_card_has_a_head_for_the_hub_and_all_figures(bundle: Path) -> None:
    """Its YAML parses, every label has its row, TF-IDF stands beside."""
    card = (bundle / "README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(card.split("---")[1])

    assert head["library_name"] == "transformers"
    assert all(card.count(f"| `{label}` |") == 2 for label in LABELS)
    assert "TF-IDF" in card


def test_shipping_leaves_the_float_weights_but_not_their_hash(bundle: Path, tmp_path: Path) -> None:
    """A CPU worker's files verify; an engine that wants the weights is told so."""
    out = tmp_path / "shipped"
    ship(bundle, out)
    manifest = read_manifest(out)

    verify(out, manifest, (INT8_MODEL,))
    assert {FLOAT_WEIGHTS, FLOAT_MODEL} <= manifest.files.keys()
    assert not (out / FLOAT_MODEL).exists()
    with pytest.raises(BundleError, match="not in the folder"):
        verify(out, manifest, (FLOAT_WEIGHTS,))


def test_a_run_that_fails_leaves_what_was_there(bundle: Path, tmp_path: Path) -> None:
    """Neither half a bundle nor a folder of scraps is left behind."""
    out = tmp_path / "bundle"
    ship(bundle, out)
    before = read_manifest(out)

    def fails_in_the_middle() -> None:
        with unfinished(out) as scratch:
            (scratch / "bundle" / MANIFEST).write_text("half")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fails_in_the_middle()

    assert read_manifest(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_sigterm_while_a_bundle_is_written_leaves_no_scraps_and_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It ends the process by way of what cleans up; before and after it ends it as ever."""
    before = signal.getsignal(signal.SIGTERM)

    def told_to_end() -> None:
        with unfinished(tmp_path / "out") as scratch:
            (scratch / "bundle" / MANIFEST).write_text("half")
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit) as ended:
        told_to_end()

    assert ended.value.code == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
    assert "stopped by SIGTERM before" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_stop_between_the_two_renames_leaves_the_bundle_of_before(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the two stands there at any time, for whoever comes back."""
    out = tmp_path / "out"
    ship(bundle, out)
    rename = Path.rename

    def told_to_end(path: Path, to: Path) -> Path:
        renamed = rename(path, to)
        if path == out and to.name == "before":
            signal.raise_signal(signal.SIGTERM)
        return renamed

    monkeypatch.setattr(Path, "rename", told_to_end)
    with pytest.raises(SystemExit), unfinished(out):
        pass

    assert read_manifest(out) == read_manifest(bundle)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_weights_that_find_no_room_are_an_error_of_ours(tmp_path: Path) -> None:
    """Safetensors has an error of its own for a disk that is full."""
    with (
        pytest.raises(TrainingError, match=r"cannot be written: .*os error 28"),
        unfinished(tmp_path / "out"),
    ):
        raise SafetensorError("Error while serializing: IoError: No space left (os error 28)")

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    """Somebody's work may lie there."""
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(TrainingError, match="is no bundle"), unfinished(tmp_path):
        pass

    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_an_int8_model_that_is_far_off_is_refused() -> None:
    """A tolerance that lets it pass would let a wrong engine pass too."""
    scores = np.full((len(golden.TEXTS), 2), 0.5)

    with pytest.raises(TrainingError, match=r"off by up to 0\.300"):
        golden.golden_comments(
            golden.TEXTS, scores, scores[None] + 0.3, ["toxic", "threat"], lenient=False
        )


def test_an_int8_model_of_a_few_steps_may_be_as_far_off_as_a_tolerance_goes() -> None:
    """Such a run shows that all of it works; a worker has to take its bundle."""
    scores = np.full((len(golden.TEXTS), 2), 0.5)
    labels = ["toxic", "threat"]

    found = golden.golden_comments(golden.TEXTS, scores, scores[None] + 0.15, labels, lenient=True)

    assert found.tolerance == golden.MOST_TOLERANCE
    with pytest.raises(TrainingError, match=r"off by up to 0\.150"):
        golden.golden_comments(golden.TEXTS, scores, scores[None] + 0.15, labels, lenient=False)
    with pytest.raises(TrainingError, match=r"off by up to 0\.210"):
        golden.golden_comments(golden.TEXTS, scores, scores[None] + 0.21, labels, lenient=True)


def test_the_manifest_states_what_it_was_made_from(bundle: Path) -> None:
    """Rows, libraries and the fingerprint; the file is plain JSON."""
    manifest = BundleManifest.model_validate(json.loads((bundle / MANIFEST).read_bytes()))

    data = manifest.metrics["data"]
    assert data["files"] == ["made.csv"]
    assert data["train"] + data["validation"] + data["test"] + data["repeated"] == 400
    assert {"torch", "openvino", "nncf", "tokenizers"} <= manifest.libraries.keys()
