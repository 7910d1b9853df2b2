"""What a bundle's weights have learnt from, over all bundles that training went on from.

A bundle states the files of its own training and which rows of them were held out. One that began
at another's weights has that one's knowledge, too, and may be judged by rows of which it has some.
"""

from collections.abc import Iterable
from typing import Any

from schemas.bundle import BundleManifest
from trainer.archives import without_packing


def began_at(before: BundleManifest, files: Iterable[str], held_out: str) -> dict[str, Any]:
    """Return what a bundle states of the one at whose weights its training began.

    Args:
        before: that one.
        files: names of the labelled files that are learnt from now.
        held_out: fingerprint of the rows of them that are held out.

    Returns:
        Its `name` and `version`; `heard`, each file that it or one before it has learnt from, by
        name, with the fingerprint of what was held out then; and `may_know`, those of the files
        learnt from now of which it may know rows that are held out now.
    """
    heard = _heard(before)
    names = {without_packing(file) for file in files}
    return {
        "name": before.name,
        "version": before.version,
        "heard": [{"file": file, "held_out": rows} for file, rows in heard],
        "may_know": sorted({file for file, rows in heard if file in names and rows != held_out}),
    }


def learnt_from(manifest: BundleManifest) -> set[str]:
    """Return the files that a bundle, or one before it, has learnt from, by name."""
    return {file for file, _ in _heard(manifest)}


def may_know(manifest: BundleManifest) -> list[str]:
    """Return the files of which a bundle may know rows that it says it held out."""
    found: list[str] = (_before(manifest) or {}).get("may_know", [])
    return found


def _heard(manifest: BundleManifest) -> list[tuple[str, str | None]]:
    data, before = manifest.metrics.get("data", {}), _before(manifest) or {}
    own = {(without_packing(f), data.get("held_out_fingerprint")) for f in data.get("files", ())}
    earlier = {(each["file"], each["held_out"]) for each in before.get("heard", ())}
    return sorted(own | earlier, key=str)


def _before(manifest: BundleManifest) -> dict[str, Any] | None:
    found: dict[str, Any] | None = manifest.metrics.get("training", {}).get("began_at")
    return found
