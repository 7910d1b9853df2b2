"""The whole run: from labelled files to a bundle, and what it refuses before it starts."""

import csv
import errno
import re
from pathlib import Path

import pytest

from schemas.bundle import read_manifest, verify
from schemas.errors import CommentsFileError, TrainingError
from trainer import graph
from trainer.alone import LOCK, alone_in
from trainer.command import train
from trainer.data import LabelledFile
from trainer.fit import CHECKPOINTS
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
    assert beside == {".lock", "data.json", "data.md", "data.png", "tensorboard"}


def test_a_length_that_the_base_cannot_take_is_refused_with_both_numbers(
    made_file: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """Nothing is trained, nothing is left behind."""
    with pytest.raises(TrainingError, match="--max-length is 512, the base takes 16 to 64"):
        train([LabelledFile(made_file)], tmp_path / "out", str(tiny_base), max_length=512)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "x" * 257])
def test_a_name_that_no_bundle_may_have_is_refused_at_once(
    name: str, made_file: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """Not after hours, by the manifest."""
    with pytest.raises(TrainingError, match=f"--name has {len(name)} characters"):
        train([LabelledFile(made_file)], tmp_path / "out", str(tiny_base), name=name)


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("file/out", "out cannot be written: "),
        ("x" * 300, "cannot be written: File name too long"),
        ("/dev/null", "/dev/null is there and is no bundle"),
        ("/", "/ is no name for a bundle"),
    ],
)
def test_a_place_where_nothing_can_be_written_is_named_before_the_data_is_read(
    out: str, says: str, tmp_path: Path
) -> None:
    """Not after hours, by the bundle: the file of rows is not even there."""
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(TrainingError, match=says):
        train([LabelledFile(tmp_path / "rows.csv")], tmp_path / out)


@pytest.fixture
def one_label(made_file: Path, tmp_path: Path) -> Path:
    """Rows that say nothing but whether they are toxic."""
    with made_file.open(encoding="utf-8", newline="") as file:
        rows = [{k: row[k] for k in ("comment_text", "toxic")} for row in csv.DictReader(file)]
    path = tmp_path / "one.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["comment_text", "toxic"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_labels_that_no_row_knows_are_not_left_to_chance(
    one_label: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """A fresh head says anything of them, and would flag by it."""
    with pytest.raises(TrainingError, match=r"says anything of severe_toxic, .* identity_hate"):
        train([LabelledFile(one_label)], tmp_path / "out", str(tiny_base), max_length=48)

    assert [path.name for path in tmp_path.iterdir()] == ["one.csv"]


def test_labels_that_no_row_knows_keep_the_scale_of_the_bundle_that_training_began_at(
    one_label: Path, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Moderators' decisions often are of one label, and the others must not be lost by that."""
    before = read_manifest(bundle)

    train(
        [LabelledFile(one_label)],
        tmp_path / "out",
        str(bundle),
        settings=FitSettings(max_steps=1),
        max_length=48,
    )

    after = read_manifest(tmp_path / "out")
    kept = {
        label for label in after.labels if after.calibration[label] == before.calibration[label]
    }
    assert kept == set(after.labels) - {"toxic"}
    assert {after.thresholds[label] == before.thresholds[label] for label in kept} == {True}
    assert f"calibration and threshold of {before.name} are kept" in capfd.readouterr().err


def test_checkpoints_are_dropped_for_a_fresh_run_only_once_it_can_begin(
    tiny_base: Path, tmp_path: Path
) -> None:
    """A file that is misspelt costs no hours."""
    kept = tmp_path / "out.run" / CHECKPOINTS / "step-5"
    kept.mkdir(parents=True)

    with pytest.raises(CommentsFileError):
        train([LabelledFile(tmp_path / "no.csv")], tmp_path / "out", str(tiny_base), fresh=True)

    assert kept.is_dir()


def test_two_runs_do_not_share_a_folder(made_file: Path, tiny_base: Path, tmp_path: Path) -> None:
    """Each would drop and go on from the other's checkpoints; what the first has stays."""
    out, kept = tmp_path / "out", tmp_path / "out.run" / CHECKPOINTS / "step-5"
    kept.mkdir(parents=True)

    with (
        alone_in(tmp_path / "out.run"),
        pytest.raises(TrainingError, match=r"another run works in .*out\.run") as refused,
    ):
        train([LabelledFile(made_file)], out, str(tiny_base), max_length=48, fresh=True)

    assert "--out" in str(refused.value.hint)
    assert [path.name for path in (tmp_path / "out.run").iterdir() if path.name != LOCK] == [
        CHECKPOINTS
    ]
    assert kept.is_dir()


def test_a_run_that_was_killed_keeps_no_other_out(tmp_path: Path) -> None:
    """Its lock stays as a file, and is nobody's."""
    with alone_in(tmp_path / "out.run"):
        pass
    assert (tmp_path / "out.run" / LOCK).is_file()

    with alone_in(tmp_path / "out.run"):
        pass


def test_a_run_whose_folder_cannot_be_made_names_it(tmp_path: Path) -> None:
    """A file lies in its place."""
    (tmp_path / "out.run").touch()

    with (
        pytest.raises(TrainingError, match=r"out\.run cannot be written: File exists"),
        alone_in(tmp_path / "out.run"),
    ):
        pass


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
