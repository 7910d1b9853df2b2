"""The rows of the matrix come together, in however many processes they ran."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from rig.lanes import LANES, lane_of

TESTS = Path(__file__).parents[1]

ROWS = """\
import pytest

@pytest.mark.row("P1")
@pytest.mark.parametrize("name", "ab")
def test_that_bites(row, name):
    row.bit(3)
    row.measured(chance=row.random.random())

@pytest.mark.row("M1")
def test_in_which_nothing_bites(row):
    row.measured(chance=row.random.random())
"""


def rows_of(folder: Path, processes: int, seed: str) -> tuple[str, list[dict[str, Any]]]:
    """Run three rows in so many processes; return what was printed and what was kept, by test."""
    file = folder / f"{processes}.jsonl"
    (folder / "test_rows.py").write_text(ROWS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = row\n")
    plugins = ["-p", "xdist", "-p", "faults.matrix", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-n", str(processes), "--dist", "load"],
        cwd=folder,
        env=os.environ
        | {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
            "TIDEGATE_FAULTS_SEED": seed,
            "TIDEGATE_FAULTS_RESULTS": str(file),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return done.stdout, sorted(rows, key=lambda row: str(row["test"]))


def test_what_ran_in_two_processes_is_had_once_more_in_one(tmp_path: Path) -> None:
    """All of them drew from the seed that was shown; each row came to the same."""
    shown, in_two = rows_of(tmp_path, 2, seed="")
    (seed,) = {row["seed"] for row in in_two}
    again, in_one = rows_of(tmp_path, 0, str(seed))

    assert f"faults: TIDEGATE_FAULTS_SEED={seed}" in shown
    assert [row["faults"] for row in in_two] == [0, 3, 3]
    assert [row["result"] for row in in_two] == ["failed", "passed", "passed"]
    for key in ("test", "faults", "result", "seed", "figures"):
        assert [row[key] for row in in_one] == [row[key] for row in in_two]
    for printed in (shown, again):
        assert "fault matrix" in printed
        assert "M1 is void: no fault bit" in printed
        assert f"TIDEGATE_FAULTS_SEED={seed} python -m pytest 'test_rows.py::" in printed


def test_every_lane_takes_tests_that_are_there() -> None:
    """A file that was renamed would else leave its lane unseen."""
    files = [f"{file.relative_to(TESTS.parent)}::" for file in TESTS.rglob("test_*.py")]

    for lane, paths in LANES.items():
        for path in paths:
            assert any(name.startswith(path) and lane_of(name) == lane for name in files), path
