"""What the rows of the fault matrix come to: faults that bit, comments, verdicts, a table."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from rig.checker import Outcomes, source_of, source_of_letter

COLUMNS = ("row", "tests", "faults", "comments", "verdicts", "seconds", "result", "seed")


@dataclass
class Row:
    """One test of a row, while it runs.

    Attributes:
        name: the row's in the matrix, such as P1.
        test: the test's, as pytest takes it.
        seed: of the whole session.
        random: of this test alone, so that a test by itself meets the same faults.
        figures: what was measured beside the counts, such as the longest pause in seconds.
    """

    name: str
    test: str
    seed: int
    random: Random = field(init=False)
    faults: int = 0
    comments: int = 0
    verdicts: int = 0
    figures: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = Random(f"{self.seed} {self.test}")  # noqa: S311 - faults are to be repeatable

    def bit(self, n: int = 1) -> None:
        """Count faults that demonstrably bit: a process died, a record was aborted."""
        self.faults += n

    def judged(self, outcomes: Outcomes) -> None:
        """Count what a check found in good order."""
        verdicts = [v for v in outcomes.verdicts if v.value is not None]
        judged = {source_of(v) for v in verdicts}
        dead = {source_of_letter(letter) for letter in outcomes.dead_letters}
        erased = len(outcomes.verdicts) - len(verdicts)
        self.verdicts += len(verdicts)
        self.comments += len(judged | dead) + erased

    def measured(self, **figures: float) -> None:
        """Keep figures with the row, in seconds, bytes or counts as their names say."""
        self.figures |= figures

    def must_have_bitten(self) -> None:
        """Fail a test that proved nothing."""
        assert self.faults > 0, f"{self.name} is void: no fault bit"


@dataclass(frozen=True)
class Result:
    """One test of a row, when it has ended."""

    row: str
    test: str
    result: str
    faults: int
    comments: int
    verdicts: int
    seconds: float
    seed: int
    date: str
    figures: dict[str, float]


def result_of(row: Row, outcome: str, seconds: float) -> Result:
    """Return what a test came to."""
    return Result(
        row.name,
        row.test,
        outcome,
        row.faults,
        row.comments,
        row.verdicts,
        round(seconds, 1),
        row.seed,
        datetime.now(UTC).isoformat(timespec="seconds"),
        {name: round(figure, 3) for name, figure in row.figures.items()},
    )


def append(results: Iterable[Result], file: Path) -> None:
    """Write results behind those of earlier runs, one JSON object a line."""
    with file.open("a", encoding="utf-8") as lines:
        lines.writelines(json.dumps(asdict(result)) + "\n" for result in results)


def table(results: Sequence[Result]) -> Iterator[str]:
    """Yield the lines of a table with one line for each row of the matrix, and their sum."""
    rows = [COLUMNS, *(_line(name, results) for name in sorted({r.row for r in results}))]
    rows.append(_line("", results))
    widths = [max(len(line[column]) for line in rows) for column in range(len(COLUMNS))]
    for line in rows:
        yield "  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)).rstrip()


def _line(row: str, results: Sequence[Result]) -> tuple[str, ...]:
    """Return one row's cells; those of all rows if it has no name."""
    ours = [result for result in results if row in ("", result.row)]
    outcomes = {result.result for result in ours}
    return (
        row or "all",
        f"{len(ours)}",
        f"{sum(r.faults for r in ours):,}",
        f"{sum(r.comments for r in ours):,}",
        f"{sum(r.verdicts for r in ours):,}",
        f"{sum(r.seconds for r in ours):.1f}",
        "passed" if outcomes == {"passed"} else ", ".join(sorted(outcomes - {"passed"})),
        ", ".join(sorted({str(r.seed) for r in ours})),
    )
