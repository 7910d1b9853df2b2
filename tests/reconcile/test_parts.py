"""The small parts: spill, ledger, report, `--since`."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.reconcile.findings import Findings, Promise
from deploy.reconcile.ledger import Ledger, Mark
from deploy.reconcile.place import place
from deploy.reconcile.report import EXIT, Report
from deploy.reconcile.since import Since, parse_since
from deploy.reconcile.spill import MOST_FILES, Spill, files_for
from schemas.errors import SettingsError


@pytest.mark.parametrize("batch", [1, 100, 5_000])
def test_a_spill_gives_back_what_it_took(tmp_path: Path, batch: int) -> None:
    """Each row once, equal first columns in one file, in the order in which they came."""
    rows = np.random.default_rng(0).integers(-(2**62), 2**62, (5_000, 3))
    rows[::5, 0] = 77
    spill = Spill(tmp_path / "spill", 3, 8)
    for start in range(0, len(rows), batch):
        spill.add(rows[start : start + batch])

    files = [spill.file(number) for number in range(8)]
    assert sorted(map(tuple, rows.tolist())) == sorted(
        tuple(row) for file in files for row in file.tolist()
    )
    (holder,) = (file for file in files if 77 in file[:, 0])
    assert rows[::5].tolist() == holder[holder[:, 0] == 77].tolist()
    assert len(holder) == len(rows[rows[:, 0] & 7 == 77 & 7])


def test_a_file_is_given_in_parts(tmp_path: Path) -> None:
    """So that one that is too large can be passed through."""
    spill = Spill(tmp_path / "spill", 2, 1)
    spill.add(np.arange(20, dtype=np.int64).reshape(-1, 2))

    assert spill.rows_in(0) == 10
    assert spill.file(0, 4, 3).tolist() == [[8, 9], [10, 11], [12, 13]]
    assert spill.rows_in(0) == 10


@pytest.mark.parametrize(
    ("records", "files"), [(0, 1), (10, 1), (10**8, 512), (10**12, MOST_FILES)]
)
def test_the_number_of_files_follows_the_records(records: int, files: int) -> None:
    """A power of two, so that a file holds some hundred thousand rows."""
    assert files == files_for(records)


@given(
    places=st.lists(st.tuples(st.integers(0, 2), st.integers(5, 24)), max_size=60),
)
def test_a_ledger_tells_the_first_mark_of_a_place(places: list[tuple[int, int]]) -> None:
    """Marks add up, and each place says once that it is new to the call."""
    ledger = Ledger([5, 5, 5], [25, 25, 25])
    numbers = np.array([place(*p) for p in places], dtype=np.int64)

    first = ledger.mark(numbers, np.full(len(places), Mark.LETTER, dtype=np.uint8))
    ledger.mark(numbers, np.full(len(places), Mark.HELD, dtype=np.uint8))

    assert first.sum() == len(set(places))
    marked = {int(p) for chunk, marks in ledger.chunks() for p in chunk[marks > 0].tolist()}
    assert {int(n) for n in numbers} == marked
    assert set(ledger.marks(numbers).tolist()) <= {Mark.LETTER | Mark.HELD}


def test_a_ledger_knows_what_is_out_of_its_bounds() -> None:
    """Before the start, behind the end, of a partition that is not there."""
    ledger = Ledger([10, 0], [20, 0])
    places = np.array(
        [place(0, 9), place(0, 10), place(0, 19), place(0, 20), place(1, 0), place(2, 0)]
    )

    assert ledger.within(places).tolist() == [False, True, True, False, False, False]
    assert ledger.before(places).tolist() == [True, False, False, False, False, False]


def test_offenders_are_shown_by_position_the_first_first() -> None:
    """A few are kept of many, in the order of topic, partition and offset."""
    findings = Findings()
    findings.refute(Promise.ORDER, "comments late", "comments", [place(1, n) for n in range(90)])
    findings.refute(Promise.ORDER, "comments late", "comments", [place(0, 7)])

    lines = list(Report(findings).lines())
    (finding,) = findings
    assert finding.count == 91
    assert "refuted   outcomes of a key keep the order of its comments" in lines
    assert any("91 comments late: comments/0/7, comments/1/0, comments/1/1" in x for x in lines)


def test_every_answer_has_its_exit_status() -> None:
    """Unproven is an answer of its own; refuted outweighs it."""
    findings = Findings()
    assert EXIT[findings.answer()] == 0
    findings.doubt_all([Promise.FLAGS], "flags cannot be read")
    assert EXIT[findings.answer()] == 3
    findings.refute(Promise.IDS, "twice", "comments", [1])
    assert EXIT[findings.answer()] == 1
    as_json = Report(findings).as_json()
    assert [promise["answer"] for promise in as_json["promises"]] == [
        "proven",
        "proven",
        "refuted",
        "proven",
        "proven",
        "unproven",
        "proven",
    ]


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ([], Since()),
        (["1970-01-01T00:00:01Z"], Since(time_ms=1_000)),
        (["1970-01-01T00:00:01"], Since(time_ms=1_000)),
        (["1970-01-01T01:00:01+01:00"], Since(time_ms=1_000)),
        (["0:7", "3:99"], Since(offsets=((0, 7), (3, 99)))),
    ],
)
def test_since_is_a_time_or_positions(given_: list[str], expected: Since) -> None:
    """A time without a zone is UTC."""
    assert expected == parse_since(given_)


@pytest.mark.parametrize("given_", [["yesterday"], ["0:7", "now"], ["0:-1"], [""]])
def test_another_since_is_refused(given_: list[str]) -> None:
    """With what was expected."""
    with pytest.raises(SettingsError, match=r"PARTITION:OFFSET"):
        parse_since(given_)


def test_the_spill_is_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """Nothing of another run is mixed in."""
    Spill(tmp_path / "spill", 1, 1)

    with pytest.raises(FileExistsError):
        Spill(tmp_path / "spill", 1, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["spill"]
