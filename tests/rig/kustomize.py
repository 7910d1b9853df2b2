"""Manifests for Kubernetes as files, as kustomize builds them, and as its schemas see them."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

# The oldest that is promised (the disruption budget's eviction policy), and the newest known.
VERSIONS: Final = ("1.31", "1.37")


def load(path: Path) -> dict[str, Any]:
    """Read a file that holds one document."""
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def manifests(folder: Path) -> list[Path]:
    """Return the files of a folder that hold a resource."""
    return sorted(path for path in folder.glob("*.yaml") if path.name != "kustomization.yaml")


def resource(folder: Path, kind: str) -> dict[str, Any]:
    """Return a folder's one resource of a kind."""
    (found,) = [r for r in map(load, manifests(folder)) if r["kind"] == kind]
    return found


def lines_of(path: Path) -> dict[str, str]:
    """Return the variables of an env file."""
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def validate(path: Path, version: str) -> subprocess.CompletedProcess[str]:
    """Check a file against the schemas of a Kubernetes version; unknown fields are errors."""
    options = ["--strict", "--kubernetes-version", version]
    return subprocess.run(
        [sys.executable, "-m", "kubernetes_validate", *options, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )


def build(folder: Path) -> str:
    """Return what kustomize makes of a folder."""
    command = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
    if not shutil.which(command[0]):
        pytest.skip("neither kustomize nor kubectl is on the path")
    return subprocess.run(
        [*command, str(folder)], capture_output=True, text=True, check=True
    ).stdout


def built(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the resources that kustomize makes of a folder, by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all(build(folder))}
