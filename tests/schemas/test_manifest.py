"""The manifest: whole, unchanged, and speaking of files that are there as they were written."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rig.stub import stub_manifest
from schemas.bundle import (
    CONFIG,
    GOLDEN,
    MANIFEST,
    TOKENIZER,
    BundleManifest,
    Calibration,
    content_version,
    file_entry,
    read_manifest,
    verify,
)
from schemas.errors import BundleError


def write_bundle(folder: Path) -> dict[str, Any]:
    """Write a bundle of small files, and return its manifest."""
    for name in (CONFIG, TOKENIZER, GOLDEN, "weights"):
        (folder / name).write_text(f"the {name}")
    raw = stub_manifest().model_dump(mode="json")
    raw["files"] = {
        name: file_entry(folder / name).model_dump()
        for name in (CONFIG, TOKENIZER, GOLDEN, "weights")
    }
    raw["version"] = content_version(raw)
    (folder / MANIFEST).write_text(json.dumps(raw, indent=2))
    return raw


def test_a_bundle_that_is_whole_is_read_and_verified(tmp_path: Path) -> None:
    """In whatever layout its JSON is written."""
    raw = write_bundle(tmp_path)

    manifest = read_manifest(tmp_path)

    verify(tmp_path, manifest, ("weights",))
    assert raw["version"] == manifest.version


def test_a_folder_without_a_manifest_is_named(tmp_path: Path) -> None:
    """And the setting that names the folder."""
    with pytest.raises(BundleError, match=r"bundle\.json is not there") as caught:
        read_manifest(tmp_path)

    assert str(tmp_path) in caught.value.what
    assert "TIDEGATE_BUNDLE" in (caught.value.hint or "")


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, GOLDEN, "weights"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    """Those that every engine needs, and those that one asks for."""
    write_bundle(tmp_path)
    (tmp_path / name).unlink()

    with pytest.raises(BundleError, match=f"{name} is needed and is not in the folder"):
        verify(tmp_path, read_manifest(tmp_path), ("weights",))


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, GOLDEN, "weights"])
def test_a_changed_file_is_named_with_both_hashes(tmp_path: Path, name: str) -> None:
    """A letter more is enough."""
    write_bundle(tmp_path)
    (tmp_path / name).write_text(f"the {name}!")
    manifest = read_manifest(tmp_path)

    with pytest.raises(BundleError) as caught:
        verify(tmp_path, manifest, ("weights",))

    assert name in caught.value.what
    assert manifest.files[name].sha256[:12] in caught.value.what
    assert file_entry(tmp_path / name).sha256[:12] in caught.value.what


def test_a_file_that_nobody_listed_is_not_loaded(tmp_path: Path) -> None:
    """It may be there; nothing vouches for it."""
    write_bundle(tmp_path)
    (tmp_path / "other").touch()

    with pytest.raises(BundleError, match=r"other is needed and is not in bundle\.json"):
        verify(tmp_path, read_manifest(tmp_path), ("other",))


def test_a_changed_manifest_is_refused_with_both_versions(tmp_path: Path) -> None:
    """A threshold that somebody moved makes it another bundle."""
    raw = write_bundle(tmp_path)
    raw["thresholds"]["toxic"] = 0.99
    (tmp_path / MANIFEST).write_text(json.dumps(raw))

    with pytest.raises(BundleError) as caught:
        read_manifest(tmp_path)

    assert raw["version"] in caught.value.what
    assert content_version(raw) in caught.value.what


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', "\ud83d"])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    """No traceback of a parser: the folder, the file and what to do."""
    (tmp_path / MANIFEST).write_bytes(text.encode("utf-8", "surrogatepass"))

    with pytest.raises(BundleError, match=r"bundle\.json cannot be read"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"labels": ["toxic", "toxic"]}, "a label stands there twice"),
        ({"thresholds": {"toxic": 0.5}}, "thresholds: expected exactly the labels"),
        ({"calibration": {}}, "calibration: expected exactly the labels"),
        ({"max_length": 0}, "max_length"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(change: dict[str, Any], named: str) -> None:
    """Each label has its threshold and its calibration, and nothing else is there."""
    with pytest.raises(ValidationError, match=named):
        BundleManifest.model_validate(stub_manifest().model_dump(mode="json") | change)


def test_the_version_is_a_hash_of_all_else() -> None:
    """Not of itself, and not of the order in which things stand."""
    raw = stub_manifest().model_dump(mode="json")

    assert raw["version"] == content_version(raw) == content_version(dict(reversed(raw.items())))
    assert raw["version"] != content_version(raw | {"name": "other"})


def test_a_calibration_that_turns_the_order_round_is_refused() -> None:
    """A slope of 0 or below would make the worst comments the best."""
    with pytest.raises(ValidationError):
        Calibration(slope=0, intercept=0)


def test_a_file_in_the_place_of_a_bundle_is_no_bundle(tmp_path: Path) -> None:
    """Somebody named the data twice."""
    (tmp_path / "data.csv").touch()

    with pytest.raises(BundleError, match=r"bundle\.json is not there"):
        read_manifest(tmp_path / "data.csv")
