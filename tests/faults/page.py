"""The page of kept results: each run with its seed, its faults and what came of it.

    PYTHONPATH=tests python -m faults.page docs/faults

It is made of results.jsonl (rows: `TIDEGATE_FAULTS_RESULTS`) and soaks.jsonl (`--results`).
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from faults.report import Result

RESULTS: Final = "results.jsonl"
SOAKS: Final = "soaks.jsonl"
PAGE: Final = "README.md"

HEAD: Final = """\
# Results under faults

What [delivery.md](../delivery.md) promises, held against real brokers and workers as processes.
A run can be had once more by its seed. A row in which no fault demonstrably bit is void, and would
stand here as failed. `tests/faults/page.py` made this page of `results.jsonl` and `soaks.jsonl`;
the rows are the tests in `tests/faults/`.
"""


def page(results: Sequence[Result], soaks: Sequence[dict[str, Any]]) -> str:
    """Return the page, in Markdown."""
    return "\n".join(
        [HEAD, *_sums(results, soaks), *_runs(results), *_rows(results), *_soaks(soaks)]
    )


def _sums(results: Sequence[Result], soaks: Sequence[dict[str, Any]]) -> Iterator[str]:
    comments = sum(r.comments for r in results) + sum(s["comments"] for s in soaks)
    faults = sum(r.faults for r in results if r.row[0] != "M") + sum(s["faults"] for s in soaks)
    hostile = sum(r.faults for r in results if r.row[0] == "M")
    failed = sum(r.result != "passed" for r in results) + sum(
        s["answer"] != "proven" for s in soaks
    )
    yield (
        f"In all: **{comments:,} comments, {faults:,} faults** and {hostile:,} hostile or aborted "
        f"records; {failed} of {len(results) + len(soaks)} tests and soaks failed.\n"
    )


def _runs(results: Sequence[Result]) -> Iterator[str]:
    yield "## Runs of the matrix (`make faults`)\n"
    yield from _table(
        ("begun", "seed", "tests", "faults", "records", "comments", "verdicts", "failed")
    )
    for seed, found in _grouped(results, lambda r: (r.seed,)):
        failed = [r.test.partition("::")[2] for r in found if r.result != "passed"]
        yield _line(
            min(r.date for r in found)[:10],
            seed[0],
            len(found),
            sum(r.faults for r in found if r.row[0] != "M"),
            sum(r.faults for r in found if r.row[0] == "M"),
            sum(r.comments for r in found),
            sum(r.verdicts for r in found),
            ", ".join(failed) or "none",
        )
    yield ""


def _rows(results: Sequence[Result]) -> Iterator[str]:
    yield "## Rows, all runs together\n"
    yield from _table(
        ("row", "tests", "faults", "comments", "verdicts", "measured, worst of all runs")
    )
    for row, found in _grouped(results, lambda r: (r.row,)):
        yield _line(
            row[0],
            len(found),
            sum(r.faults for r in found),
            sum(r.comments for r in found),
            sum(r.verdicts for r in found),
            ", ".join(f"{name} {figure:g}" for name, figure in sorted(_worst(found).items())),
        )
    yield ""


def _worst(results: Iterable[Result]) -> dict[str, float]:
    worst: dict[str, float] = {}
    for result in results:
        for name, figure in result.figures.items():
            worst[name] = max(figure, worst.get(name, figure))
    return worst


def _soaks(soaks: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "## Soaks (`make soak`)\n"
    yield from _table(
        (
            "ended",
            "seed",
            "hours",
            "brokers",
            "comments",
            "faults",
            "verdict",
            "RSS, MB an hour",
            "of one life, hours",
            "threads",
            "ended by themselves",
        )
    )
    for soak in soaks:
        least, most = soak["threads"]
        by_itself = sum(n for end, n in soak["ends"].items() if end.startswith("by itself"))
        yield _line(
            soak["date"][:10],
            soak["seed"],
            f"{soak['hours']:g}",
            soak["nodes"],
            soak["comments"],
            soak["faults"],
            soak["answer"],
            f"{soak['rss_slope_mb_per_hour']:+g}",
            f"{life:g}" if (life := soak.get("rss_hours")) else "of the slot",
            least if least == most else f"{least} to {most}",
            by_itself,
        )
    total: Counter[str] = Counter()
    for soak in soaks:
        total.update(soak["faults_by_name"])
    yield ""
    named = ", ".join(f"{name} {n:,}" for name, n in total.most_common())
    yield f"Faults of the soaks: {named or 'none'}.\n"


def _grouped(results: Sequence[Result], key: Any) -> Iterator[tuple[tuple[Any, ...], list[Result]]]:
    for found, members in groupby(sorted(results, key=key), key):
        yield found, list(members)


def _table(columns: Sequence[str]) -> Iterator[str]:
    yield "| " + " | ".join(columns) + " |"
    yield "|" + " --- |" * len(columns)


def _line(*cells: object) -> str:
    return "| " + " | ".join(f"{c:,}" if isinstance(c, int) else str(c) for c in cells) + " |"


def read_results(file: Path) -> list[Result]:
    """Return what `append` wrote."""
    return [Result(**json.loads(line)) for line in _lines(file)]


def read_soaks(file: Path) -> list[dict[str, Any]]:
    """Return the summaries that soaks wrote."""
    return [json.loads(line) for line in _lines(file)]


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def page_of(folder: Path) -> str:
    """Return the page of a folder's results."""
    return page(read_results(folder / RESULTS), read_soaks(folder / SOAKS))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / PAGE).write_text(page_of(folder), encoding="utf-8")
