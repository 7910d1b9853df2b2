"""Reading labelled files: what is known, what is not, and what is refused by file and line."""

import json
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import CommentsFileError, TrainingError
from trainer.data import evaluation_texts, read_files

REMARK = "a very private remark"  # stands in for a comment, which no message may show


def written(folder: Path, name: str, contents: str) -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_text(contents, encoding="utf-8")
    return path


def test_a_blank_label_and_a_column_that_is_not_there_are_not_known(tmp_path: Path) -> None:
    """Both are NaN, so that the loss masks them; a fraction stays what it is."""
    path = written(tmp_path, "a.csv", "comment_text,toxic,threat\nhello,1,\nworld,0.4,0\n")

    rows = read_files([path])

    assert rows.texts == ["hello", "world"]
    known = np.isfinite(rows.labels)
    assert known.tolist() == [
        [True, False, False, False, False, False],
        [True, False, False, True, False, False],
    ]
    assert rows.labels[known].tolist() == pytest.approx([1.0, 0.4, 0.0])


def test_several_files_of_two_kinds_are_read_in_their_order(tmp_path: Path) -> None:
    """CSV and JSON Lines, each with its own name for the column of texts."""
    lines = "".join(json.dumps({"text": t, "insult": 1}) + "\n" for t in ("three", "four"))
    first = written(tmp_path, "a.csv", "tweet,toxic\none,0\ntwo,1\n")

    rows = read_files([first, written(tmp_path, "b.jsonl", lines)])

    assert rows.texts == ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    ("contents", "error", "says"),
    [
        (f"comment_text,toxic\nfine,0\n{REMARK},2\n", TrainingError, "line 3: toxic"),
        (f"comment_text,toxic\n{REMARK},yes\n", TrainingError, "line 2: toxic"),
        (f"comment_text,toxic\n{REMARK},-1\n", TrainingError, "line 2: toxic"),
        (f"comment_text,toxic\n{REMARK},1\n ,0\n", TrainingError, "line 3: comment_text is empty"),
        (f"comment_text,toxic\n{REMARK},1,0\n", CommentsFileError, "line 2: expected 2 columns"),
        (f"comment_text,toxic\n{REMARK}\n", CommentsFileError, "line 2: expected 2 columns"),
        (f"comment_text,mood\n{REMARK},1\n", TrainingError, "no label column; found comment_text"),
        (f"remark,toxic\n{REMARK},1\n", CommentsFileError, "no column of texts; found remark"),
        ("comment_text,toxic\n", CommentsFileError, "no row"),
    ],
)
def test_a_broken_file_is_refused_by_name_and_line_without_its_text(
    tmp_path: Path, contents: str, error: type[Exception], says: str
) -> None:
    """The message names the file, the line and what is wrong, and never quotes a comment."""
    path = written(tmp_path, "broken.csv", contents)

    with pytest.raises(error) as refused:
        read_files([path])

    assert says in str(refused.value)
    assert "broken.csv" in str(refused.value)
    assert REMARK not in str(refused.value)


def test_a_line_that_is_no_json_object_is_refused_without_its_text(tmp_path: Path) -> None:
    """JSON's own error would quote the line."""
    path = written(tmp_path, "broken.jsonl", f'{{"text": "x", "toxic": 1}}\n{{"text": "{REMARK}\n')

    with pytest.raises(CommentsFileError, match=r"broken\.jsonl, line 2: not a JSON object") as e:
        read_files([path])

    assert REMARK not in str(e.value)


def test_bytes_that_are_not_utf_8_are_named_by_line(tmp_path: Path) -> None:
    """A file in another encoding is refused, and the error carries nothing of the file."""
    path = tmp_path / "latin.csv"
    path.write_bytes(b"comment_text,toxic\nfine,0\ncaf\xe9,0\n")

    with pytest.raises(CommentsFileError, match=r"latin\.csv, line 3: not UTF-8") as refused:
        read_files([path])

    assert refused.value.__cause__ is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message has the path and the reason."""
    with pytest.raises(CommentsFileError, match=r"nowhere\.csv: No such file"):
        read_files([tmp_path / "nowhere.csv"])


def test_files_kept_for_evaluation_are_refused_and_found_beside_the_data(tmp_path: Path) -> None:
    """Such a file is never trained on, and its texts are known so as to be left out."""
    kept = written(tmp_path, "wikipedia-toxicity-fuzzed.csv", "comment,toxic\nkeep me,1\n")
    data = written(tmp_path, "mine.csv", "comment_text,toxic\nhello,0\n")

    assert evaluation_texts([data]) == ["keep me"]
    with pytest.raises(TrainingError, match="for evaluation only"):
        read_files([kept])
