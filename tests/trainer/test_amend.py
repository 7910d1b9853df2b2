"""A bundle that is told more: another version of the same files."""

import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.bundle import MANIFEST, ScoreMap, read_manifest, verify
from schemas.errors import BundleError
from trainer.amend import amend


def test_a_bundle_that_is_told_more_is_a_new_version_of_the_same_files(
    bundle: Path, tmp_path: Path
) -> None:
    """It verifies, and carries the map; a second one joins the first."""
    copy = shutil.copytree(bundle, tmp_path / "copy")
    before = read_manifest(bundle)
    score_map = ScoreMap(x=[0, 1], y=[0, 0.5])

    amend(copy, {"bias": {}}, {"perspective": {"toxic": score_map}})
    after = amend(copy, {}, {"previous": {"threat": score_map}})

    assert read_manifest(copy) == after
    verify(copy, after, tuple(after.files))
    assert after.files == before.files
    assert after.version != before.version
    assert after.metrics == before.metrics | {"bias": {}}
    assert after.score_maps == {
        "perspective": {"toxic": score_map},
        "previous": {"threat": score_map},
    }


def test_a_map_of_a_label_that_the_bundle_lacks_is_refused(bundle: Path, tmp_path: Path) -> None:
    """Nothing is written."""
    copy = shutil.copytree(bundle, tmp_path / "copy")

    with pytest.raises(ValidationError, match="no label"):
        amend(copy, {}, {"x": {"spam": ScoreMap(x=[0, 1], y=[0, 1])}})

    assert (copy / MANIFEST).read_bytes() == (bundle / MANIFEST).read_bytes()


def test_only_a_bundle_is_amended(tmp_path: Path) -> None:
    """A folder without a manifest is refused, with the way out."""
    with pytest.raises(BundleError, match=r"bundle\.json is not there"):
        amend(tmp_path, {}, {})
