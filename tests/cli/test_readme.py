"""The README is run: its commands do what it shows, its links lead somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.cli import COMMANDS
from schemas.verdict import Verdict
from worker.settings import setting_names

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

BLOCKS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)

# Shown with their output, and quick enough to be run as they stand.
SHOWN = [
    (command, output)
    for block in BLOCKS
    for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    if "tidegate score" in command and output
]


def plain(text: str) -> list[str]:
    """Leave out what differs between processors: digits, bars, blanks at line ends."""
    return [re.sub(r"[\d.]+", "#", line.replace("█", "")).rstrip() for line in text.splitlines()]


def test_the_readme_shows_scoring() -> None:
    """There is something to run below."""
    assert len(SHOWN) >= 2


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[c for c, _ in SHOWN])
def test_a_command_prints_what_the_readme_shows(command: str, output: str) -> None:
    """The lines are the same, but for digits and bars."""
    here = command.replace("tidegate", f"{shlex.quote(sys.executable)} -m deploy.cli")

    done = subprocess.run(
        ["/bin/sh", "-c", here], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert plain(output.rstrip()) == plain(done.stdout.rstrip())


def test_the_verdict_that_it_shows_is_one() -> None:
    """The JSON in the README keeps to the contract."""
    (shown,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)

    assert Verdict.model_validate_json(shown).status == "scored"


def test_every_command_that_it_names_exists() -> None:
    """`tidegate xyz` in the text is a subcommand."""
    named = set(re.findall(r"tidegate ([a-z]+)\b", "\n".join([*BLOCKS, README])))
    verbs = {
        word for word in named if f"`tidegate {word}" in README or f"$ tidegate {word}" in README
    }

    assert verbs <= COMMANDS.keys()


def test_every_setting_that_it_names_exists() -> None:
    """A TIDEGATE_ name in the documents is a setting, or the beginning of some."""
    known = {*setting_names(), "TIDEGATE_DATA"}
    documents = [ROOT / "README.md", *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    named = {
        name
        for document in documents
        for name in re.findall(r"TIDEGATE_[A-Z_]*[A-Z]", document.read_text(encoding="utf-8"))
    }

    open_ended = tuple(name for name in known if name.endswith("__"))
    unknown = {
        name
        for name in named
        if not name.startswith(open_ended)
        and not any(k == name or k.startswith(f"{name}_") for k in known)
    }
    assert set() == unknown


def test_every_link_into_the_tree_leads_somewhere() -> None:
    """Relative links of the documents name files that are there."""
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
