"""Figures of each benchmark come beside their goals, and what is missing says so."""

import json
from pathlib import Path

import pytest

from benchmarks.scoreboard import Row, as_page, draw, scoreboard

MACHINE = {
    "cpu": "a CPU",
    "cores": 2,
    "memory_gib": 4.0,
    "instructions": ["AVX2"],
    "load_before": 0.1,
    "commit": "abc",
    "python": "3.11",
    "libraries": {"numpy": "2"},
}
SPREAD = {"median": 3.6, "least": 3.0, "most": 4.0}


def measured(folder: Path, *, vnni: bool) -> dict[str, Row]:
    """Write three benchmarks' figures, and return the scoreboard by what is measured."""
    against = "transformers.pipeline at its best batch"
    scoring = {
        "ratios": [{"against": against, "ratio": SPREAD}],
        "own": [{"figure": "peak memory, MB", "found": 800}],
    }
    files = {
        "scoring": {"models": {"mini": scoring}},
        "latency": {"half_load_p99_ms": 125},
        "peers_stream": {"ratios": [{"against": "the afternoon loop", "ratio": SPREAD}]},
    }
    for name, figures in files.items():
        (folder / f"{name}.json").write_text(json.dumps(figures))
    return {row.wanted.what: row for row in scoreboard(folder, vnni=vnni)}


@pytest.mark.parametrize(("vnni", "goal"), [(True, 7), (False, 4)])
def test_a_ratio_to_a_peer_has_the_goal_of_its_processor(
    vnni: bool,  # noqa: FBT001 - a table's column
    goal: float,
    tmp_path: Path,
) -> None:
    """The median of the rounds is held against it."""
    row = measured(tmp_path, vnni=vnni)["scoring: over transformers.pipeline"]

    assert (row.found, row.goal, row.reached) == (3.6, goal, 3.6 / goal)


@pytest.mark.parametrize(
    ("what", "reached"), [("scoring: peak memory", 0.5), ("worker: p99 at half load", 2)]
)
def test_what_should_be_small_reaches_more_the_smaller_it_is(
    what: str, reached: float, tmp_path: Path
) -> None:
    """Twice the goal is half reached; half of it is reached twice."""
    assert measured(tmp_path, vnni=True)[what].reached == reached


def test_what_was_not_measured_says_so(tmp_path: Path) -> None:
    """A benchmark that was not run, and one that was without a figure, leave their rows."""
    rows = measured(tmp_path, vnni=True)

    page = as_page(list(rows.values()), MACHINE)

    assert rows["API: over the bare scorer"].found is None
    assert rows["worker: over Quix Streams"].reached is None
    lines = {line.split(" | ")[0]: line for line in page.splitlines()}
    assert "| not measured" in lines[f"| {'API: over the bare scorer'.ljust(42)}"]
    assert "| 125 ms" in page


def test_the_picture_has_what_was_measured(tmp_path: Path) -> None:
    """And needs the full install."""
    pytest.importorskip("matplotlib", reason="needs the full install")

    draw(measured(tmp_path, vnni=True).values(), tmp_path / "scoreboard.png")

    assert (tmp_path / "scoreboard.png").read_bytes().startswith(b"\x89PNG")
