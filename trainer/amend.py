"""What was measured after a bundle was made, added to it: figures for its card, score maps."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.bundle import CARD, MANIFEST, BundleManifest, ScoreMap, content_version, read_manifest
from schemas.errors import TrainingError
from trainer.card import card

Maps = Mapping[str, ScoreMap]


def amend(
    bundle: Path, metrics: Mapping[str, Any], score_maps: Mapping[str, Maps]
) -> BundleManifest:
    """Add figures and maps to a bundle, in place; it becomes another version.

    The manifest and the card are written anew, each whole or not at all; no other file changes.
    A signature of the bundle no longer holds.

    Args:
        bundle: its folder.
        metrics: by the names that the card knows; those of a name that is there are replaced.
        score_maps: by the name of another scale, the maps of labels to it.

    Raises:
        BundleError: the bundle has no manifest, or one that was changed.
        TrainingError: it cannot be written.
    """
    read_manifest(bundle)
    contents: dict[str, Any] = json.loads((bundle / MANIFEST).read_bytes())
    added = {
        scale: {label: found.model_dump(mode="json") for label, found in maps.items()}
        for scale, maps in score_maps.items()
    }
    contents["metrics"] |= metrics
    contents["score_maps"] = contents.get("score_maps", {}) | added
    contents["version"] = content_version(contents)
    manifest = BundleManifest.model_validate(contents)
    try:
        _write(bundle / CARD, card(manifest))
        _write(bundle / MANIFEST, json.dumps(contents, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise TrainingError(
            f"{bundle} cannot be written: {error.strerror}", "look at its rights and the free space"
        ) from error
    return manifest


def _write(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
