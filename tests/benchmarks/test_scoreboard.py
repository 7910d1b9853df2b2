"""Figures of each benchmark come beside their goals, and what is missing says so."""

import json
from math import inf
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scoreboard import Row, as_page, draw, scoreboard

SPREAD = {"median": 3.6, "least": 3.0, "most": 4.0}


def measured(folder: Path, *instructions: str) -> dict[str, Row]:
    """Write three benchmarks' figures, and return the scoreboard by what is measured."""
    scoring = {
        "ratios": [{"against": "the afternoon loop", "ratio": SPREAD}],
        "own": [{"figure": "peak memory, MB", "found": 800}],
    }
    files: dict[str, dict[str, Any]] = {
        "scoring": {"models": {"mini": scoring}},
        "latency": {"half_load_p99_ms": 125, "lone_p50_ms": 0},
        "peers_stream": {"ratios": [{"against": "the afternoon loop", "ratio": SPREAD}]},
    }
    for name, figures in files.items():
        machine = {"commit": f"of-{name}", "instructions": instructions}
        (folder / f"{name}.json").write_text(json.dumps(figures | {"machine": machine}))
    return {row.wanted.what: row for row in scoreboard(folder)}


@pytest.mark.parametrize(
    ("instructions", "scoring", "stream"),
    [(["AVX2"], (4, 3.6 / 4), (None, None)), (["AVX2", "AVX-VNNI"], (None, None), (8, 3.6 / 8))],
)
def test_a_ratio_to_a_peer_has_the_goal_of_the_processor_that_it_was_measured_on(
    instructions: list[str],
    scoring: tuple[float | None, float | None],
    stream: tuple[float | None, float | None],
    tmp_path: Path,
) -> None:
    """The median of the rounds is held against it."""
    rows = measured(tmp_path, *instructions)

    found = rows["scoring: over the afternoon loop"]
    through_kafka = rows["worker: exactly once, over the afternoon loop"]
    assert (found.goal, found.reached) == scoring
    assert (through_kafka.goal, through_kafka.reached) == stream
    assert (found.commit, through_kafka.commit) == ("of-scoring", "of-peers_stream")


@pytest.mark.parametrize(
    ("what", "reached"),
    [
        ("scoring: peak memory, MB", 0.5),
        ("worker: half load, p99", 2),
        ("worker: a lone comment, p50", inf),
    ],
)
def test_what_should_be_small_reaches_more_the_smaller_it_is(
    what: str, reached: float, tmp_path: Path
) -> None:
    """Twice the goal is half reached; half of it is reached twice."""
    assert measured(tmp_path)[what].reached == reached


def test_what_was_not_measured_says_so(tmp_path: Path) -> None:
    """A benchmark that was not run, and one that was without a figure, leave their rows."""
    rows = measured(tmp_path)

    lines = as_page(list(rows.values())).splitlines()

    for what in ("API: over the bare scorer", "worker: exactly once, over Quix Streams"):
        assert rows[what].found is None
        (line,) = (line for line in lines if what in line)
        assert "not measured" in line
    assert any("half load, p99" in line and "125 ms" in line for line in lines)


def test_the_picture_has_what_was_measured(tmp_path: Path) -> None:
    """And needs the full install."""
    pytest.importorskip("matplotlib", reason="needs the full install")

    draw(measured(tmp_path).values(), tmp_path / "scoreboard.png")

    assert (tmp_path / "scoreboard.png").read_bytes().startswith(b"\x89PNG")
