"""Kaggle's Jigsaw files are read as they come."""

import io
import zipfile
from pathlib import Path

import pytest

from schemas.errors import TrainingError
from schemas.labels import LABELS
from trainer.data import read_files, read_texts

NAMES = ",".join(LABELS)
TRAIN = f"id,comment_text,{NAMES}\na1,hello,0,0,0,0,0,0\na2,rude,1,0,1,0,1,0\n"
TEST = "id,comment_text\nb1,not scored\nb2,scored\nb3,scored and rude\n"
TEST_LABELS = f"id,{NAMES}\nb3,1,0,0,0,1,0\nb1,-1,-1,-1,-1,-1,-1\nb2,0,0,0,0,0,0\n"
SUBMISSION = f"id,{NAMES}\nb1,0.5,0.5,0.5,0.5,0.5,0.5\n"


def zipped(members: dict[str, bytes]) -> bytes:
    """Return a zip of these files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, contents in members.items():
            archive.writestr(name, contents)
    return file.getvalue()


def competition(*, packed: bool) -> bytes:
    """Return the competition's zip, its tables zipped once more or not."""
    tables = {
        "train.csv": TRAIN,
        "test.csv": TEST,
        "test_labels.csv": TEST_LABELS,
        "sample_submission.csv": SUBMISSION,
    }
    if packed:
        members = {f"{name}.zip": zipped({name: t.encode()}) for name, t in tables.items()}
    else:
        members = {name: table.encode() for name, table in tables.items()}
    return zipped(members)


def test_train_csv_is_read_zipped_or_not(tmp_path: Path) -> None:
    """With six labels a row."""
    (tmp_path / "train.csv").write_text(TRAIN)
    (tmp_path / "train.csv.zip").write_bytes(zipped({"train.csv": TRAIN.encode()}))

    plain, packed = (read_files([tmp_path / name]) for name in ("train.csv", "train.csv.zip"))

    assert plain.texts == packed.texts == ["hello", "rude"]
    assert plain.labels.tolist() == packed.labels.tolist() == [[0] * 6, [1, 0, 1, 0, 1, 0]]


@pytest.mark.parametrize("packed", [False, True])
def test_test_csv_is_joined_with_the_labels_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, packed: bool
) -> None:
    """By id, in the order of the texts; rows of -1 are dropped and counted."""
    for name, table in (("test.csv", TEST), ("test_labels.csv", TEST_LABELS)):
        path = tmp_path / (f"{name}.zip" if packed else name)
        path.write_bytes(zipped({name: table.encode()}) if packed else table.encode())

    rows = read_files([tmp_path / ("test.csv.zip" if packed else "test.csv")])

    assert rows.texts == ["scored", "scored and rude"]
    assert rows.labels.tolist() == [[0] * 6, [1, 0, 0, 0, 1, 0]]
    assert "1 rows of -1 dropped" in capsys.readouterr().err


@pytest.mark.parametrize("packed", [False, True])
def test_of_the_competitions_zip_all_that_has_labels_is_read(
    tmp_path: Path, *, packed: bool
) -> None:
    """Or one of its tables, to keep the test rows for judging."""
    path = tmp_path / "jigsaw-toxic-comment-classification-challenge.zip"
    path.write_bytes(competition(packed=packed))

    assert sorted(read_files([path]).texts) == ["hello", "rude", "scored", "scored and rude"]
    assert read_files([path / "train.csv"]).texts == ["hello", "rude"]
    assert read_files([path / "test.csv"]).texts == ["scored", "scored and rude"]
    assert len(read_texts([path])) == 5


def test_a_test_csv_of_somebody_else_is_a_file_like_any_other(tmp_path: Path) -> None:
    """It has its labels in it."""
    path = tmp_path / "test.csv"
    path.write_text("id,text,toxic\n1,hello,0\n")

    assert read_files([path]).texts == ["hello"]


@pytest.mark.parametrize(
    ("test", "labels", "says"),
    [
        (TEST, None, "test.csv: no label column, and no test_labels.csv beside it"),
        (TEST, f"{TEST_LABELS}b4,0,0,0,0,0,0\n", "test_labels.csv, line 5: its id has no text"),
        (f"{TEST}b4,new\n", TEST_LABELS, "test.csv, line 5: its id stands twice, or is not in"),
        (TEST, f"{TEST_LABELS}b2,0,0,0,0,0,0\n", "test_labels.csv, line 5: its id stands twice"),
        (TEST, TEST_LABELS.replace("b2,0", "b2,-1"), "test_labels.csv, line 4: toxic is neither"),
        (TEST, TEST_LABELS.replace("b2,0", "b2,2"), "test_labels.csv, line 4: toxic is neither"),
        (TEST.replace(",scored\n", ", \n"), TEST_LABELS, "test.csv, line 3"),
    ],
)
def test_halves_that_do_not_fit_are_refused_by_file_and_line(
    tmp_path: Path, test: str, labels: str | None, says: str
) -> None:
    """Of both files, where both are to blame."""
    (tmp_path / "test.csv").write_text(test)
    if labels is not None:
        (tmp_path / "test_labels.csv").write_text(labels)

    with pytest.raises(TrainingError) as refused:
        read_files([tmp_path / "test.csv"])

    assert says in str(refused.value)
    assert "scored" not in str(refused.value)


def test_labels_alone_are_refused_with_a_way_out(tmp_path: Path) -> None:
    """The texts are what is to be named."""
    (tmp_path / "test_labels.csv").write_text(TEST_LABELS)

    with pytest.raises(TrainingError, match="labels without texts") as refused:
        read_files([tmp_path / "test_labels.csv"])

    assert "test.csv" in str(refused.value.hint)


def test_minus_one_is_an_error_in_any_other_file(tmp_path: Path) -> None:
    """Only Kaggle's test labels give it a meaning."""
    (tmp_path / "train.csv").write_text(TRAIN.replace("a1,hello,0", "a1,hello,-1"))

    with pytest.raises(TrainingError, match=r"train\.csv, line 2: toxic is neither"):
        read_files([tmp_path / "train.csv"])
