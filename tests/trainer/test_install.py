"""The trainer needs the full install; a light one says so in the list of skipped tests."""

import importlib.util

import pytest


def test_the_full_install_is_here() -> None:
    """Without torch all other tests of the trainer are left out, and this one says why."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("the trainer's tests need the full install: pip install 'tidegate[train]'")
