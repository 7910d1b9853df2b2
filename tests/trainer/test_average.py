"""The mean of weights: what is chosen, what it is, and which members are refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from schemas.bundle import (
    FLOAT_WEIGHTS,
    MANIFEST,
    content_version,
    file_entry,
    read_manifest,
    verify,
)
from schemas.errors import TrainingError
from trainer.average import average, greedy, mean_of, validation_loss
from trainer.data import LabelledFile
from trainer.export import ship


@pytest.fixture(scope="module")
def other_seed(train_tiny: Callable[..., Path]) -> Path:
    """Return a bundle like `bundle`, from another seed and half as many epochs."""
    return train_tiny("other-seed", epochs=40, seed=1)


def point(value: float) -> dict[str, Tensor]:
    """Return weights that are one number."""
    return {"w": torch.tensor([value], dtype=torch.float64)}


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=6))
def test_the_chosen_mean_is_never_worse_than_the_best_member(values: list[float]) -> None:
    """The loss is a bowl with its floor at 0; losses are told for each member in its place."""

    def loss(weights: dict[str, Tensor]) -> float:
        return float(weights["w"] ** 2)

    kept, losses = greedy(list(map(point, values)), loss)  # type: ignore[arg-type]

    assert losses == pytest.approx([value**2 for value in values])
    assert len(set(kept)) == len(kept) >= 1
    assert np.mean([values[i] for i in kept]) ** 2 <= min(losses) + 1e-9


def test_members_on_both_sides_of_the_floor_are_kept_and_one_far_off_is_left_out() -> None:
    """The best is first; the order of the rest is that of their losses."""
    kept, _ = greedy([point(1.5), point(-1.0), point(9.0)], lambda w: float(w["w"] ** 2))

    assert kept == [1, 0]


def test_a_mean_is_taken_of_numbers_and_not_of_positions() -> None:
    """What counts, as position_ids do, is the first's; the type stays."""
    one = {"w": torch.tensor([1.0, 2.0]), "positions": torch.tensor([0, 1])}
    other = {"w": torch.tensor([3.0, 6.0]), "positions": torch.tensor([5, 5])}

    found = mean_of([one, other])

    assert found["w"].tolist() == [2.0, 4.0]
    assert found["w"].dtype == torch.float32
    assert found["positions"].tolist() == [0, 1]


def test_the_validation_loss_is_that_of_calibrated_probabilities_over_known_labels() -> None:
    """Logits on another scale have the same loss; a label that is not known has none."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(400, 2))
    labels = (random.random((400, 2)) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    labels[::3, 1] = np.nan

    found = validation_loss(logits, labels)

    assert found == pytest.approx(validation_loss(5 * logits - 2, labels), abs=1e-4)
    assert found < np.log(2)  # a coin's


def test_the_mean_of_two_bundles_is_a_bundle_that_states_its_members(
    bundle: Path, other_seed: Path, made_file: Path, tmp_path: Path
) -> None:
    """Its weights are the mean of those that were kept, whole and verified."""
    members, out = [bundle, other_seed], tmp_path / "mean"

    average(members, [LabelledFile(made_file)], out, name="mean")

    manifest = read_manifest(out)
    verify(out, manifest, tuple(manifest.files))
    stated = manifest.metrics["average"]["members"]
    assert [m["version"] for m in stated] == [read_manifest(m).version for m in members]
    kept = [folder for folder, m in zip(members, stated, strict=True) if m["kept"]]
    weights = [load_file(folder / FLOAT_WEIGHTS) for folder in kept]
    for name, tensor in load_file(out / FLOAT_WEIGHTS).items():
        torch.testing.assert_close(tensor, torch.stack([w[name] for w in weights]).mean(0))


def test_a_member_as_it_is_shipped_is_refused_with_what_to_give_instead(
    bundle: Path, made_file: Path, tmp_path: Path
) -> None:
    """A mean of weights that were rounded to int8 is none of the members' own."""
    ship(bundle, tmp_path / "shipped")

    with pytest.raises(TrainingError, match="only int8, as bundles are shipped") as refused:
        average(
            [bundle, tmp_path / "shipped"], [LabelledFile(made_file)], tmp_path / "out", name="m"
        )

    assert "the folder that `tidegate train` wrote" in str(refused.value.hint)


def changed(bundle: Path, folder: Path, **differences: object) -> Path:
    """Copy a bundle, with a manifest that says something else."""
    shutil.copytree(bundle, folder)
    contents = json.loads((folder / MANIFEST).read_bytes()) | differences
    contents["version"] = content_version(contents)
    (folder / MANIFEST).write_text(json.dumps(contents))
    return folder


@pytest.mark.parametrize(
    ("differences", "what"),
    [
        ({"base_model": "another"}, "another base"),
        ({"max_length": 32}, "another max_length"),
    ],
)
def test_members_that_are_not_alike_are_refused_by_name(
    differences: dict[str, object], what: str, bundle: Path, made_file: Path, tmp_path: Path
) -> None:
    """What differs is said; nothing is written."""
    other = changed(bundle, tmp_path / "other", **differences)

    with pytest.raises(TrainingError, match=what):
        average([bundle, other], [LabelledFile(made_file)], tmp_path / "out", name="mean")

    assert not (tmp_path / "out").exists()


def test_a_member_with_another_vocabulary_is_refused(
    bundle: Path, made_file: Path, tmp_path: Path
) -> None:
    """The same row of its embedding would be another word."""
    other = shutil.copytree(bundle, tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_bytes())
    vocabulary = tokenizer["model"]["vocab"]
    first, second = list(vocabulary)[-2:]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    files = json.loads((other / MANIFEST).read_bytes())["files"]
    entry = file_entry(other / "tokenizer.json").model_dump()
    swapped = changed(other, tmp_path / "swapped", files=files | {"tokenizer.json": entry})

    with pytest.raises(TrainingError, match="another vocabulary"):
        average([bundle, swapped], [LabelledFile(made_file)], tmp_path / "out", name="mean")


def test_one_member_is_no_mean(bundle: Path, made_file: Path, tmp_path: Path) -> None:
    """It would be that member under another name."""
    with pytest.raises(TrainingError, match="two members"):
        average([bundle], [LabelledFile(made_file)], tmp_path / "out", name="mean")


def test_a_member_of_another_split_is_refused(
    bundle: Path, made_file: Path, tmp_path: Path
) -> None:
    """It has learnt from rows that the mean would be judged by."""
    other = changed(bundle, tmp_path / "other", name="other")

    with pytest.raises(TrainingError, match="held out other rows"):
        average(
            [bundle, other], [LabelledFile(made_file)], tmp_path / "o", name="mean", split_seed=1
        )


def test_a_file_that_a_member_was_made_from_must_be_given(
    bundle: Path, made_file: Path, tmp_path: Path
) -> None:
    """Or the figures would be of rows that it knows."""
    again = tmp_path / "again.csv"
    shutil.copy(made_file, again)

    with pytest.raises(TrainingError, match=r"learnt from made\.csv"):
        average([bundle, bundle], [LabelledFile(again)], tmp_path / "out", name="mean")
