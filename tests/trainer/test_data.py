"""Reading labelled files: what is known, what is not, and what is refused by file and line."""

import gzip
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import CommentsFileError, TrainingError
from trainer.data import (
    LabelledFile,
    Rows,
    evaluation_texts,
    labelled_file,
    read_files,
    read_files_to_judge_by,
    read_texts,
)

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
        (f'comment_text,toxic\n"{REMARK},1\n', CommentsFileError, "line 2: a broken row"),
        (f"comment_text,toxic\n{REMARK},1\n ,0\n", TrainingError, "line 3: comment_text is empty"),
        (f"comment_text,toxic\n{REMARK},1,0\n", CommentsFileError, "line 2: expected 2 columns"),
        (f"comment_text,toxic\n{REMARK}\n", CommentsFileError, "line 2: expected 2 columns"),
        (f"comment_text,mood\n{REMARK},1\n", TrainingError, "no label column; found comment_text"),
        (f"remark,toxic\n{REMARK},1\n", CommentsFileError, "no column of texts; found remark"),
        ("comment_text,toxic\n", CommentsFileError, "it has no rows"),
        ("", CommentsFileError, "it has no rows"),
        (f"comment_text,toxic, Threat\n{REMARK},1,1\n", TrainingError, "' Threat' is not read"),
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


def test_a_text_that_is_a_number_is_said_to_be_one(tmp_path: Path) -> None:
    """And not to be empty."""
    path = written(tmp_path, "number.jsonl", '{"text": 5, "toxic": 1}\n')

    with pytest.raises(TrainingError, match=r"number\.jsonl, line 1: text is of type int"):
        read_files([path])


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

    assert evaluation_texts([data]) == {kept.name: ["keep me"]}
    assert read_files_to_judge_by([kept]).texts == ["keep me"]
    for read in (read_files, read_texts):
        with pytest.raises(TrainingError, match="for evaluation only"):
            read([kept])


def test_packing_an_evaluation_only_file_does_not_open_it_for_training(tmp_path: Path) -> None:
    """It is known by its name, with .gz or without, in capitals or not."""
    for name in ("youtube-toxic-1000.csv.gz", "YouTube-toxic-1000.csv.GZ"):
        folder = tmp_path / name
        folder.mkdir()
        kept = folder / name
        kept.write_bytes(gzip.compress(b"text,toxic\nkeep me,1\n"))

        assert evaluation_texts([kept]) == {kept.name: ["keep me"]}
        with pytest.raises(TrainingError, match="for evaluation only"):
            read_files([kept])


def test_an_evaluation_only_file_within_an_archive_is_refused_by_its_name(tmp_path: Path) -> None:
    """Whatever the archive is called."""
    packed = tmp_path / "all.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("mine.csv", "text,toxic\none,1\n")
        archive.writestr("folder/wikipedia-toxicity-nonfuzzed.csv", "text,toxic\nkeep me,1\n")

    with pytest.raises(TrainingError, match=r"wikipedia-toxicity-nonfuzzed\.csv is for evaluation"):
        read_files([packed])
    assert read_files([packed / "mine.csv"]).texts == ["one"]


def test_true_and_false_are_labels_in_any_spelling(tmp_path: Path) -> None:
    """As pandas, JSON and people write them."""
    table = written(tmp_path, "a.csv", "text,toxic\none,True\ntwo,false\nthree, 1 \n")
    lines = written(tmp_path, "b.jsonl", '{"text": "four", "toxic": true, "threat": null}\n')

    assert read_files([table, lines]).labels[:, 0].tolist() == [1, 0, 1, 1]


def test_names_of_civil_comments_and_perspective_are_understood(tmp_path: Path) -> None:
    """Each stands for one of the six."""
    header = "text,toxicity,severe_toxicity,profanity,threat,insult,identity_attack"
    path = written(tmp_path, "civil.csv", f"{header}\nhello,1,0.2,0.3,0.4,0.5,0.6\n")

    assert read_files([path]).labels[0].tolist() == pytest.approx([1, 0.2, 0.3, 0.4, 0.5, 0.6])


def test_two_columns_for_one_label_are_refused(tmp_path: Path) -> None:
    """Nobody can say which one is meant."""
    path = written(tmp_path, "both.csv", "text,toxic,toxicity\nhello,1,0\n")

    with pytest.raises(TrainingError, match="toxic and toxicity are two names of one label"):
        read_files([path])


def test_rows_carry_the_weight_and_the_position_of_their_file(tmp_path: Path) -> None:
    """Both follow a row wherever it is taken."""
    first = written(tmp_path, "a.csv", "text,toxic\none,0\ntwo,1\n")
    second = written(tmp_path, "b.csv", "text,toxic\nthree,0\n")

    rows = read_files([first, LabelledFile(second, 0.25)]).take([2, 0])

    assert (rows.texts, rows.weights.tolist()) == (["three", "one"], [0.25, 1.0])
    assert rows.files.tolist() == [1, 0]


def test_rows_without_weights_weigh_one() -> None:
    """Whoever makes rows by hand need not think of weights."""
    rows = Rows(["a", "b"], np.zeros((2, 1), np.float32), ("rude",))

    assert rows.weights.tolist() == [1, 1]
    assert rows.take([1]).names == ("rude",)


def test_a_weight_stands_behind_an_at_unless_a_file_has_that_name(tmp_path: Path) -> None:
    """FILE@0.3 is a file and its weight."""
    odd = written(tmp_path, "mine@2.csv", "text,toxic\nhello,0\n")

    assert labelled_file("more.csv@0.3") == LabelledFile(Path("more.csv"), 0.3)
    assert labelled_file("more.csv") == LabelledFile(Path("more.csv"))
    assert labelled_file(str(odd)) == LabelledFile(odd)


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf", "101", "much", ""])
def test_a_weight_out_of_bounds_is_refused_with_its_file(weight: str) -> None:
    """A weight of nothing, of no number or beyond all measure is a slip."""
    with pytest.raises(TrainingError, match=r"more\.csv: its weight is") as refused:
        labelled_file(f"more.csv@{weight}")

    assert "at most 100" in str(refused.value)


def test_rows_without_a_known_label_are_for_unlabelled_files(tmp_path: Path) -> None:
    """Among labelled rows one is a slip; read as texts they are welcome, labels or not."""
    path = written(tmp_path, "a.csv", "text,toxic\none,1\ntwo,\n")

    with pytest.raises(TrainingError, match=r"a\.csv, line 3: no label is known"):
        read_files([path])
    assert read_texts([path]) == ["one", "two"]


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("Comment_Text,toxic", "the column 'Comment_Text' is not read, comment_text would be"),
        ("id, text,toxic", "the column ' text' is not read, text would be"),
        ("comment_text;toxic", "line 1: its columns are parted by semicolons: part them by commas"),
        ("comment_text\ttoxic", "line 1: its columns are parted by tabs: part them by commas"),
    ],
)
def test_a_header_that_is_nearly_right_is_told_what_it_lacks(
    header: str, says: str, tmp_path: Path
) -> None:
    """As spreadsheets write it."""
    row = re.sub(r"[\w ]+", REMARK, header)
    path = written(tmp_path, "sheet.csv", f'{header}\n{row}\n"a, b";0\n')

    with pytest.raises(CommentsFileError) as refused:
        read_files([path])

    assert says in f"{refused.value}: {refused.value.hint}"


def test_a_file_kept_for_judging_that_cannot_be_read_says_why_it_is(tmp_path: Path) -> None:
    """Nobody named it: it lies beside one that was named."""
    path = written(tmp_path, "mine.csv", f"text,toxic\n{REMARK},1\n")
    written(tmp_path, "bias-madlibs-77k.csv", "nothing,of,this\n1,2,3\n")

    with pytest.raises(CommentsFileError, match="for evaluation only") as refused:
        evaluation_texts([path])

    assert "bias-madlibs-77k.csv" in str(refused.value)


def test_a_file_without_a_header_is_refused_without_its_first_comment(tmp_path: Path) -> None:
    """Its first row stands where the names should be."""
    path = written(tmp_path, "bare.csv", f"{REMARK},1\nanother one,0\n")

    with pytest.raises(CommentsFileError, match="the header may be missing") as refused:
        read_files([path])

    assert REMARK not in str(refused.value)
