"""`tidegate evaluate`, whole: honest rows, one report, and what it refuses."""

import csv
import errno
import gzip
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.cli import main
from schemas.bundle import read_manifest
from schemas.errors import TidegateError, TrainingError
from schemas.labels import LABELS
from trainer.data import LabelledFile
from trainer.judging import Asked, judge
from trainer.perspective import COLUMNS
from trainer.report import make_folder


@pytest.fixture(scope="module")
def scored_file(made_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Comments of ours as if Perspective had scored them: 0.8 where the label is set."""
    path = tmp_path_factory.mktemp("perspective") / "perspective-scores-made.csv"
    with made_file.open(encoding="utf-8", newline="") as rows, path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["comment_text", *(names[-1] for names in COLUMNS.values())])
        for row in csv.DictReader(rows):
            scores = [0.8 if row[label] == "1" else 0.1 for label in LABELS]
            writer.writerow([row["comment_text"], *scores])
    return path


@pytest.mark.timeout(600)
def test_the_whole_report_of_a_bundle_its_peer_and_tfidf(
    bundle: Path, made_file: Path, scored_file: Path, tmp_path: Path
) -> None:
    """All sections are there, the pictures are in the page, and no comment is."""
    copy = shutil.copytree(bundle, tmp_path / "copy")
    out = tmp_path / "report"
    arguments = [
        *("evaluate", str(copy), str(bundle), "--data", str(made_file), "--rows", "held-out"),
        *("--baseline", "--against", str(bundle), "--perspective", str(scored_file)),
        *("--write", "--json", "--out", str(out)),
    ]

    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report == json.loads((out / "report.json").read_text(encoding="utf-8"))
    version = read_manifest(bundle).version
    assert list(report["models"]) == [f"tiny {version[:8]}", f"tiny {version[:8]} 2", "TF-IDF"]
    assert {"strength", "swap", "perspective", "int8"} <= report.keys()
    assert report["swap"]["labels"]["toxic"]["set"] == 0
    assert report["perspective"]["toxic"]["rank_correlation"] > 0.3
    amended = read_manifest(copy)
    assert set(amended.score_maps) == {version, "perspective"}
    assert amended.metrics["strength"] == report["strength"][f"tiny {version[:8]}"]
    written = (copy / "README.md").read_text(encoding="utf-8")
    assert {"## Disguise", "## Other scales"} <= set(written.splitlines())
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 4
    assert "http" not in page
    with made_file.open(encoding="utf-8", newline="") as rows:
        assert not [row for row in csv.DictReader(rows) if row["comment_text"] in page]


def test_held_out_figures_are_those_that_training_stated(
    bundle: Path, made_file: Path, tmp_path: Path
) -> None:
    """The same split, the same rows, the same figures."""
    asked = Asked([str(bundle)], [LabelledFile(made_file)], rows="held-out", disguise=False)

    found = judge(asked, tmp_path)["models"]["tiny"]

    stated = read_manifest(bundle).metrics["held_out"]
    assert found["rows"] == stated["rows"]
    assert found["mean_roc_auc"] == pytest.approx(stated["mean_roc_auc"], abs=0.002)


def test_a_bundle_is_not_judged_by_what_it_has_learnt_from_unawares(
    bundle: Path, made_file: Path, tmp_path: Path
) -> None:
    """Whoever gives the files of its training, packed or not, has to say which rows are meant."""
    packed = tmp_path / f"{made_file.name}.gz"
    packed.write_bytes(gzip.compress(made_file.read_bytes()))

    for file in (made_file, packed):
        with pytest.raises(TrainingError, match="tiny: made from one of these files") as refusal:
            judge(Asked([str(bundle)], [LabelledFile(file)]), tmp_path)
        assert "--rows held-out" in str(refusal.value.hint)


def test_another_split_than_that_of_the_training_is_refused(
    bundle: Path, made_file: Path, tmp_path: Path
) -> None:
    """Its held-out rows may be among those that the bundle has learnt from."""
    asked = Asked([str(bundle)], [LabelledFile(made_file)], rows="held-out", split_seed=7)

    with pytest.raises(TrainingError, match="may have learnt from"):
        judge(asked, tmp_path)


def test_a_renamed_file_is_judged_with_a_warning(
    bundle: Path, made_file: Path, tmp_path: Path
) -> None:
    """Nothing is known of its rows, and the report says so."""
    renamed = shutil.copy(made_file, tmp_path / "other.csv")
    asked = Asked([str(bundle)], [LabelledFile(Path(renamed))], disguise=False)

    report = judge(asked, tmp_path / "out")

    assert report["data"]["rows"] == 400
    assert "Nothing says" in report["data"]["warning"]
    assert 'class="warning"' in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"baseline": True}, "--baseline needs rows"),
        ({"write": True, "models": ["nowhere"]}, "nowhere is no bundle"),
    ],
)
def test_an_option_that_lacks_what_it_needs_is_refused(
    bundle: Path, made_file: Path, tmp_path: Path, more: dict[str, object], message: str
) -> None:
    """With what to give beside it, and without a folder of nothing left behind."""
    plain = Asked([str(bundle)], [LabelledFile(made_file)], rows="all", disguise=False)
    asked = replace(plain, **more)  # type: ignore[arg-type]  # mypy cannot see which fields

    with pytest.raises(TrainingError, match=message):
        judge(asked, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_report_that_cannot_be_written_is_named_before_anything_is_judged(
    bundle: Path, made_file: Path, tmp_path: Path
) -> None:
    """Judging takes minutes; a file that stands where the folder would is seen at once."""
    (tmp_path / "taken").write_text("mine")
    asked = Asked([str(bundle)], [LabelledFile(made_file)], rows="all", disguise=False)

    with pytest.raises(TrainingError, match=r"taken cannot be written"):
        judge(asked, tmp_path / "taken")

    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("option", ["against", "perspective", "bias"])
def test_what_it_is_judged_beside_is_read_before_anything_is_scored(
    option: str,
    bundle: Path,
    made_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file that has no rows would cost the report of what took an hour."""
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    wrong = {"against": str(tmp_path), "perspective": empty, "bias": [empty]}[option]
    plain = Asked([str(bundle)], [LabelledFile(made_file)], rows="all", disguise=False)

    with pytest.raises(TidegateError):
        judge(replace(plain, **{option: wrong}), tmp_path / "out")  # type: ignore[arg-type]

    assert "scoring with" not in capsys.readouterr().err


def test_a_folder_in_which_nothing_can_be_written_is_named_before_anything_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been there, of a disk that can only be read."""

    def refused(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)

    with pytest.raises(TrainingError, match="cannot be written: Read-only file system"):
        make_folder(tmp_path)
