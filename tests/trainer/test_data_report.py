"""The report on the data: figures that can be reckoned by hand, a picture, and no comment."""

import json
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import TrainingError
from trainer.data import LabelledFile, Rows, read_files
from trainer.data_page import summary, write_data_report
from trainer.data_report import DataReport, data_report
from trainer.model import load_tokenizer
from trainer.split import split_rows

FILES = [LabelledFile(Path("first.csv")), LabelledFile(Path("second.csv"), 0.5)]
WORDS = [f"word{chr(97 + i)}{chr(97 + j)}" for i in range(20) for j in range(20)]


def made_report() -> DataReport:
    """Report on 200 rows, and a second file of copies of eleven with other labels."""
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, 12)) for _ in range(200)]
    labels = (random.random((200, 6)) < 0.3).astype(np.float32)
    copies = [f"{text.upper()}!" for text in texts[:10]]
    copies.append(copies[0])
    unknown = np.full((11, 6), np.nan, np.float32)
    unknown[:, 0] = 1 - labels[[*range(10), 0], 0]
    unknown[10, 1] = 0.3
    rows = Rows(
        texts + copies,
        np.concatenate([labels, unknown]),
        weights=np.repeat([1, 0.5], [200, 11]).astype(np.float32),
        files=np.repeat([0, 1], [200, 11]),
    )
    return data_report(FILES, rows, split_rows(rows, {"kept.csv": [texts[150]]}, seed=0))


def test_each_file_has_its_rows_labels_and_where_they_went() -> None:
    """Of the second file every row repeats a better labelled one."""
    first, second = made_report().files

    assert (first.rows, first.weight, second.rows, second.weight) == (200, 1, 11, 0.5)
    assert sum(first.places.values()) == 200
    assert (first.places["near evaluation-only"], second.places["repeated"]) == (1, 11)
    assert (second.labels["toxic"].known, second.labels["severe_toxic"].fractions) == (11, 1)
    assert second.labels["threat"].known == 0


def test_duplicates_conflicts_and_leaks_are_counted() -> None:
    """Within a file, across files, and against the files that are kept for evaluation."""
    report = made_report()

    assert report.exact == report.near == [[0, 10], [11, 2]]
    assert report.conflicts["toxic"] == 10
    assert report.conflicts["threat"] == 0
    assert report.leaks == {"kept.csv": 1}


def test_labels_together_are_symmetric_with_the_positives_on_the_diagonal() -> None:
    """Of all parts."""
    report = made_report()

    together = np.asarray(report.together)
    assert (together == together.T).all()
    assert together.diagonal().tolist() == [
        sum(part[label].positive for part in report.parts.values()) for label in report.labels
    ]
    assert (together <= np.asarray(report.asked)).all()


def test_the_report_is_written_as_figures_as_a_page_and_as_a_picture(tmp_path: Path) -> None:
    """Whole files, and no comment in any."""
    write_data_report(tmp_path / "report", made_report())

    written = {path.name: path.read_bytes() for path in (tmp_path / "report").iterdir()}
    assert sorted(written) == ["data.json", "data.md", "data.png"]
    assert written["data.png"].startswith(b"\x89PNG")
    assert json.loads(written["data.json"])["part_rows"]["test"] > 30
    assert b"| second.csv | 0.5 | 11 |" in written["data.md"]
    assert not any(b"wordaa" in content.lower() for content in written.values())


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "report").touch()

    with pytest.raises(TrainingError, match="report: the report on the data cannot be written"):
        write_data_report(tmp_path / "report", made_report())


def test_the_summary_names_files_labels_leaks_and_conflicts() -> None:
    """What the person who waits is told."""
    lines = list(summary(made_report()))

    assert lines[1] == "second.csv: 11 rows, weight 0.5; 11 repeated"
    assert lines[-2] == "leaks, taken out: 1 near kept.csv"
    assert lines[-1] == "one text, two opinions: toxic 10"


def test_a_label_that_no_row_has_is_warned_of(tmp_path: Path) -> None:
    """Nothing can be learnt of it, and no threshold be found: worth a line that stands out."""
    file = tmp_path / "none.csv"
    lines = [f"{chr(97 + n % 26) * 3} {chr(97 + n // 26) * 3},{n % 2},0" for n in range(100)]
    file.write_text("\n".join(["text,toxic,threat", *lines]))
    rows = read_files([file])

    said = list(summary(data_report([LabelledFile(file)], rows, split_rows(rows, {}, 0))))

    assert [line for line in said if "WARNING" in line] == [
        "WARNING: threat is set in no row to learn from: it will be found nowhere"
    ]


def test_lengths_are_taken_in_tokens_too_when_there_is_a_tokenizer(
    made_file: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """Without truncation: the report is where one sees what is cut."""
    rows = read_files([made_file])
    tokenizer = load_tokenizer(str(tiny_base))

    report = data_report([LabelledFile(made_file)], rows, split_rows(rows, {}, 0), tokenizer)
    write_data_report(tmp_path, report)

    assert report.tokens is not None
    longest = max(len(tokenizer.encode(text).ids) for text in rows.texts)
    assert (report.tokens.comments, report.tokens.percentiles["100"]) == (400, longest)
    assert sum(report.tokens.counts) == 400


@pytest.mark.data
def test_no_word_of_a_real_comment_is_in_the_report(six_labels: Path, tmp_path: Path) -> None:
    """Only figures and names of files and labels are."""
    rows = read_files([six_labels])
    report = data_report([LabelledFile(six_labels)], rows, split_rows(rows, {}, seed=0))

    write_data_report(tmp_path, report)

    page = (tmp_path / "data.md").read_text() + (tmp_path / "data.json").read_text()
    assert not any(text in page for text in rows.texts if len(text) > 12)
