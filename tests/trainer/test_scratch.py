"""The folder that a bundle is made in: what a killed run left there goes, and nothing else."""

import subprocess
import sys
from pathlib import Path

from trainer.scratch import scratch_beside

KILLED = """
import os, signal, sys
from pathlib import Path
from trainer.scratch import scratch_beside

out = Path(sys.argv[1])
with scratch_beside(out) as scratch:
    (scratch / "bundle").mkdir()
    if out.exists():
        out.rename(scratch / "before")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_while_it_wrote(out: Path) -> None:
    """Kill a process that makes something at `out`, where it hurts most."""
    subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False)


def test_what_a_killed_run_left_goes_when_the_next_one_begins(tmp_path: Path) -> None:
    """A hundred megabytes each time, in a folder that `ls` hides."""
    killed_while_it_wrote(tmp_path / "out")
    (left,) = tmp_path.iterdir()

    with scratch_beside(tmp_path / "out") as scratch:
        assert list(tmp_path.iterdir()) == [scratch]

    assert left != scratch
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_comes_back_from_a_run_that_was_killed_between_two_renames(
    tmp_path: Path,
) -> None:
    """It stood in the killed run's folder, and nowhere else."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "bundle.json").write_text("of before")
    killed_while_it_wrote(out)
    assert not out.exists()

    with scratch_beside(out):
        assert (out / "bundle.json").read_text() == "of before"

    assert list(tmp_path.iterdir()) == [out]


def test_a_run_that_lives_keeps_its_folder(tmp_path: Path) -> None:
    """Whoever writes last replaces; nobody has the ground taken away."""
    with scratch_beside(tmp_path / "out") as one, scratch_beside(tmp_path / "out") as another:
        assert {one, another} == set(tmp_path.iterdir())


def test_a_hidden_folder_that_is_none_of_ours_is_left_alone(tmp_path: Path) -> None:
    """Its name alone says nothing."""
    other = tmp_path / ".out.backup"
    other.mkdir()
    (other / "bundle.json").write_text("years of work")
    (tmp_path / ".out.txt").write_text("a file")

    with scratch_beside(tmp_path / "out"):
        pass

    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.backup", ".out.txt"]


def test_what_a_killed_run_left_of_another_name_is_left_alone(tmp_path: Path) -> None:
    """`v1.1` would come back as `v1`, or be lost."""
    out = tmp_path / "v1.1"
    out.mkdir()
    killed_while_it_wrote(out)
    (left,) = tmp_path.iterdir()

    with scratch_beside(tmp_path / "v1"):
        pass

    assert list(tmp_path.iterdir()) == [left]
