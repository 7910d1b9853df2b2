"""`make bundle`: the shipped bundle's recipe is what the shipped bundle says it was made by."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from deploy.cli import Tidegate
from schemas.bundle import read_manifest

REPOSITORY = Path(__file__).parents[2]
FILES = (
    "bias-madlibs-77k.csv",
    "civil-partial-labels.csv",
    "civil-toxic-types.csv",
    "jigsaw-partial-labels.csv",
    "jigsaw-six-labels-more.csv",
    "jigsaw-six-labels.csv",
    "jigsaw-toxic-only.csv",
    "kaggle-insults-2012.csv",
    "perspective-scores-wikipedia.csv",
)
MEMBERS = ("focal", "asymmetric", "wide")


def made(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Call make in the repository, as if from a shell."""
    if (make := shutil.which("make")) is None:
        pytest.skip("make is not here")
    surroundings = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    return subprocess.run(
        [make, *arguments],
        cwd=REPOSITORY,
        env=surroundings,
        check=False,
        capture_output=True,
        text=True,
    )


def dry_run(data: Path, out: Path) -> list[list[str]]:
    """Return the calls of `tidegate` that `make bundle` would make, in their order."""
    told = made("-n", "bundle", f"DATA={data}", f"OUT={out}")
    assert told.returncode == 0, told.stderr
    lines = map(shlex.split, told.stdout.replace("\\\n", " ").splitlines())
    return [words[1:] for words in lines if words and words[0].endswith("/tidegate")]


def parsed(words: list[str]) -> dict[str, Any]:
    """Parse a call as `tidegate` does, and run nothing."""
    command = Tidegate().get_command(click.Context(Tidegate()), words[0])
    assert command is not None
    return command.make_context(words[0], words[1:]).params


@pytest.fixture
def calls(tmp_path: Path) -> list[list[str]]:
    """Give the calls, with files and bundles that stand where they look for them."""
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    for name in FILES:
        (data / name).touch()
    for name in (*MEMBERS, "mean", "tide-7", "tide-8", "tide-9", "bundle"):
        (out / name).mkdir(parents=True)
    return dry_run(data, out)


def test_each_call_of_the_recipe_is_one_that_the_command_line_takes(calls: list[list[str]]) -> None:
    """An option that was renamed shows here, and not after an hour of training."""
    first = ["train"] * 3 + ["average", "ensemble", "train"]
    steps = [*first, "ensemble", "train", "average", "train", "evaluate"]

    assert [words[0] for words in calls] == steps
    for words in calls:
        assert parsed(words)


def test_the_shipped_bundle_says_that_it_was_trained_so(calls: list[list[str]]) -> None:
    """Its name, its files, its base, and every setting that is a number in its manifest."""
    shipped = read_manifest(REPOSITORY / "deploy" / "bundle")
    (student,) = (parsed(words) for words in calls if shipped.name in words)
    training = shipped.metrics["training"]

    for name, value in training["settings"].items():
        if student.get(name) is not None:
            assert student[name] == value, name
    assert training["began_at"]["name"] == Path(student["base"]).name
    assert training["teacher"]["file"] == Path(student["teacher"]).name
    files = sorted(Path(file.partition("@")[0]).name for file in student["data"])
    assert sorted(shipped.metrics["data"]["files"]) == files


def test_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Before anything is trained."""
    told = made("bundle", f"DATA={tmp_path}", f"OUT={tmp_path / 'out'}")

    assert told.returncode != 0
    assert f"{tmp_path}/jigsaw-six-labels.csv is not here" in told.stderr
