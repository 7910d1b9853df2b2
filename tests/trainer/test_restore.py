"""A bundle that is shipped without float weights can be trained on from: they are read back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit  # type: ignore[import-untyped]  # ships no types
from transformers import BertConfig, DistilBertConfig

from schemas.bundle import FLOAT_WEIGHTS, GOLDEN, INT8_MODEL, GoldenComments, read_manifest
from schemas.errors import BundleError, TrainingError
from schemas.labels import LABELS
from trainer import fit
from trainer.calibrate import Floats
from trainer.command import train
from trainer.data import LabelledFile, Rows, read_files
from trainer.dataset import CommentDataset
from trainer.export import ship
from trainer.lineage import may_know
from trainer.model import clean_tokenizer, load_model
from trainer.quantise import by_onnxruntime
from trainer.recipe import FitSettings
from trainer.restore import float_weights

SHIPPED = Path(__file__).resolve().parents[2] / "deploy" / "bundle"


@pytest.fixture(scope="module")
def shipped(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny bundle as it would be shipped."""
    out = tmp_path_factory.mktemp("shipped") / "tiny"
    ship(bundle, out)
    return out


def probabilities(logits: Floats) -> Floats:
    """Return the sigmoid."""
    found: Floats = expit(logits)
    return found


def test_each_weight_is_that_of_the_float_model_but_for_rounding(
    bundle: Path, shipped: Path
) -> None:
    """Weights keep to half of a byte's range: a step is a 64th of the largest of a channel."""
    floating, back = load_model(str(bundle), LABELS), load_model(str(shipped), LABELS)
    before, after = floating.state_dict(), back.state_dict()

    assert after.keys() == before.keys()
    for name, weights in before.items():
        if name.endswith("key.bias") and "layer.1" in name:  # of the last layer: no logit has it
            assert not after[name].any()
        elif name.endswith("weight"):
            off = torch.linalg.norm(after[name] - weights) / torch.linalg.norm(weights)
            assert off < 0.05, name


def test_the_model_says_what_its_int8_file_says(
    bundle: Path, shipped: Path, made_file: Path
) -> None:
    """And so what the float model says, within what quantising costs."""
    rows = read_files([made_file])
    comments = CommentDataset(rows, clean_tokenizer(str(shipped)), 48)
    back = probabilities(fit.predict(load_model(str(shipped), LABELS), comments, 1_024))
    before = probabilities(fit.predict(load_model(str(bundle), LABELS), comments, 1_024))
    int8 = probabilities(by_onnxruntime(shipped / INT8_MODEL).logits(comments, 1_024))

    assert np.abs(back - before).max() < 0.05
    assert np.abs(back - int8).max() < 0.05


def test_the_bundle_in_this_tree_can_be_learnt_on_from() -> None:
    """Its own golden comments say so; they hold what the float model gave."""
    manifest = read_manifest(SHIPPED)
    golden = GoldenComments.model_validate_json((SHIPPED / GOLDEN).read_bytes())
    texts = [comment.text for comment in golden.comments]
    comments = CommentDataset(
        Rows.unlabelled(texts, LABELS), clean_tokenizer(str(SHIPPED)), manifest.max_length
    )
    logits = fit.predict(load_model(str(SHIPPED), LABELS), comments, 1_024)
    slopes = [manifest.calibration[label].slope for label in LABELS]
    intercepts = [manifest.calibration[label].intercept for label in LABELS]
    wanted = [[comment.scores[label] for label in LABELS] for comment in golden.comments]

    assert np.abs(probabilities(logits * slopes + intercepts) - wanted).max() < golden.tolerance


@pytest.mark.parametrize("split_seed", [0, 1])
def test_training_goes_on_from_a_bundle_as_it_is_shipped(
    split_seed: int,
    shipped: Path,
    made_file: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The new bundle states where it began, and whether that one knew too much."""
    train(
        [LabelledFile(made_file)],
        tmp_path / "out",
        str(shipped),
        settings=FitSettings(max_steps=1, learning_rate=1e-9),
        max_length=48,
        split_seed=split_seed,
    )

    manifest, said = read_manifest(tmp_path / "out"), capfd.readouterr().err
    assert (tmp_path / "out" / FLOAT_WEIGHTS).is_file()
    assert manifest.metrics["held_out"]["mean_roc_auc"] > 0.98
    assert "its weights were read from its int8 file" in said
    assert manifest.metrics["training"]["began_at"]["version"] == read_manifest(shipped).version
    assert may_know(manifest) == (["made.csv"] if split_seed else [])
    assert ("has learnt from made.csv, and other rows were held out then" in said) == bool(
        split_seed
    )


@pytest.mark.parametrize(
    "config",
    [
        DistilBertConfig(),
        BertConfig(num_hidden_layers=3, hidden_size=32),
        BertConfig(num_hidden_layers=1, hidden_size=32),
    ],
    ids=["no BERT", "more layers than the file", "fewer"],
)
def test_a_model_that_the_file_is_not_is_refused(
    shipped: Path, config: BertConfig | DistilBertConfig
) -> None:
    """What another program wrote, or another architecture's."""
    with pytest.raises(TrainingError, match=r"bundle tiny: it has no float weights, and its int8"):
        float_weights(shipped, config)


def test_an_int8_file_that_was_changed_is_refused(shipped: Path, tmp_path: Path) -> None:
    """By its hash, before it is read."""
    ship(shipped, tmp_path / "changed")
    with (tmp_path / "changed" / INT8_MODEL).open("ab") as file:
        file.write(b"\0")

    with pytest.raises(BundleError, match=INT8_MODEL):
        load_model(str(tmp_path / "changed"), LABELS)


def test_a_head_of_other_labels_is_refused_by_their_names(shipped: Path) -> None:
    """As many logits in another order would be taken for labels that they are not."""
    with pytest.raises(TrainingError, match="is a bundle of the labels toxic, severe_toxic"):
        load_model(str(shipped), tuple(reversed(LABELS)))
