"""What the documentation shows is what the shipped bundle says of itself."""

import re
from pathlib import Path

import pytest

from schemas.bundle import read_manifest

ROOT = Path(__file__).parents[2]
VERSION = re.compile(r'(?:"version": ?"|"bundle-|tide-\d+/)([0-9a-f]{16})\b')


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
def test_examples_name_the_version_that_is_shipped(page: str) -> None:
    """In verdicts, in answers and in their headers."""
    shown = set(VERSION.findall((ROOT / page).read_text(encoding="utf-8")))

    assert shown == {read_manifest(ROOT / "deploy" / "bundle").version}
