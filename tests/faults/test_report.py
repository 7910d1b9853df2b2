"""The rig's own books: a row counts what bit, and one in which nothing bit is void."""

import json
from pathlib import Path

import pytest

from faults.page import PAGE, page_of
from faults.report import Row, append, result_of, table
from rig.checker import Outcomes
from rig.make import make_record
from worker.window import Partition, Record


def verdict(offset: int, value: bytes | None) -> Record:
    """Return a record of the verdicts' topic."""
    return make_record(offset, value, b"k")._replace(partition=Partition("verdicts", 0))


def test_a_row_in_which_no_fault_bit_is_void() -> None:
    """A test that injected nothing has shown nothing, however green."""
    row = Row("P1", "test", 7)

    with pytest.raises(AssertionError, match="P1 is void: no fault bit"):
        row.must_have_bitten()
    row.bit()
    row.must_have_bitten()


def test_a_comment_counts_once_whatever_became_of_it() -> None:
    """A verdict, a tombstone; a repeat is another verdict and no other comment."""
    row = Row("P1", "test", 7)
    scored = b'{"source": {"partition": 0, "offset": %d}}'
    verdicts = [verdict(0, scored % 0), verdict(1, scored % 1), verdict(2, scored % 1)]

    row.judged(Outcomes([*verdicts, verdict(3, None)]))

    assert (row.comments, row.verdicts) == (3, 3)


def test_the_same_seed_gives_a_test_the_same_faults() -> None:
    """And another test other ones, so that a test alone is what it was among all."""
    one, same, other = Row("P1", "a", 7), Row("P1", "a", 7), Row("P1", "b", 7)

    assert one.random.random() == same.random.random() != other.random.random()


def test_a_row_of_the_table_is_the_sum_of_its_tests(tmp_path: Path) -> None:
    """One failure among them shows; the file has a line for each test."""
    rows = [Row("P1", "a", 7), Row("P1", "b", 7), Row("G1", "c", 7)]
    for row in rows:
        row.bit(600)
    rows[0].measured(gap_s=1.23456)
    results = [
        result_of(row, outcome, 1.0)
        for row, outcome in zip(rows, ("passed", "failed", "passed"), strict=True)
    ]
    file = tmp_path / "results.jsonl"

    append(results[:1], file)
    append(results[1:], file)
    _, group, processes, total = map(str.split, table(results))

    assert group[:3] == ["G1", "1", "600"]
    assert (processes[2], processes[6]) == ("1,200", "failed")
    assert total[2] == "1,800"
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["row"] for line in kept] == ["P1", "P1", "G1"]
    assert kept[0]["figures"] == {"gap_s": 1.235}


def test_the_page_of_kept_results_is_made_of_its_files() -> None:
    """Nobody writes a figure there by hand."""
    folder = Path(__file__).parents[2] / "docs/faults"

    assert (folder / PAGE).read_text(encoding="utf-8") == page_of(folder)


def test_a_run_of_the_matrix_is_one_line_and_names_what_failed(tmp_path: Path) -> None:
    """Rows are summed over runs, with the worst of each figure."""
    rows = [Row("P1", "x::test_a", 7), Row("M1", "x::test_b", 7), Row("P1", "x::test_a", 8)]
    for number, row in enumerate(rows, 1):
        row.bit(number)
        row.measured(gap_s=number)
    results = [
        result_of(row, outcome, 1.0)
        for row, outcome in zip(rows, ("passed", "failed", "passed"), strict=True)
    ]
    append(results, tmp_path / "results.jsonl")

    lines = page_of(tmp_path).splitlines()

    today = results[0].date[:10]
    assert f"| {today} | 7 | 2 | 1 | 2 | 0 | 0 | test_b |" in lines
    assert f"| {today} | 8 | 1 | 3 | 0 | 0 | 0 | none |" in lines
    assert "| P1 | 2 | 4 | 0 | 0 | gap_s 3 |" in lines
    assert any("**0 comments, 4 faults** and 2 hostile" in line for line in lines)
