"""The rig's own books: a row counts what bit, and one in which nothing bit is void."""

import json
from pathlib import Path

import pytest

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
