"""Opening a bundle: a folder that the trainer wrote, or a checkpoint that you trust."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.bundle import (
    CONFIG,
    FLOAT_WEIGHTS,
    MANIFEST,
    TOKENIZER,
    BundleManifest,
    Calibration,
    content_version,
    file_entry,
    read_manifest,
)
from schemas.errors import BundleError
from worker.signature import check_signature

MAX_LENGTH: Final = 512  # of a checkpoint that does not say how far its positions reach


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle's folder and its manifest. `hashed`: the manifest has the hashes of its files."""

    folder: Path
    manifest: BundleManifest
    hashed: bool

    def has(self, name: str) -> bool:
        """Say whether a file is there, without looking into it."""
        return (self.folder / name).is_file()


def open_bundle(reference: str, *, allow_unsigned: bool, key: Path | None = None) -> Bundle:
    """Open a bundle by folder, or a checkpoint by folder or by its name on the hub.

    Args:
        reference: a folder, or a name.
        allow_unsigned: a checkpoint that nothing vouches for will do.
        key: with whose private half the bundle must be signed; then no checkpoint will do.

    Raises:
        SettingsError: the key cannot be read.
        BundleError: there is no such thing, it is broken, or it is a mere checkpoint and
            nobody said that it may be trusted.
    """
    folder = Path(reference)
    if (folder / MANIFEST).is_file():
        if key is not None:
            check_signature(folder, key)
        return Bundle(folder, read_manifest(folder), hashed=True)
    if folder.is_dir() and not (folder / CONFIG).is_file():
        raise BundleError(
            f"bundle `{reference}`: neither {MANIFEST} nor {CONFIG} is in it",
            "give --bundle (TIDEGATE_BUNDLE) the folder that `tidegate train` wrote",
        )
    if not folder.is_dir() and (folder.is_absolute() or reference.count("/") != 1):
        raise BundleError(
            f"bundle `{reference}`: there is no such folder",
            "give --bundle (TIDEGATE_BUNDLE) the folder that `tidegate train` wrote",
        )
    if key is not None:
        raise BundleError(
            f"`{reference}` is a checkpoint without {MANIFEST}: there is nothing to sign",
            "make a bundle of it, or unset TIDEGATE_BUNDLE_KEY",
        )
    if not allow_unsigned:
        raise BundleError(
            f"`{reference}` is a checkpoint without {MANIFEST}: nothing vouches for it",
            "give --allow-unsigned (TIDEGATE_ALLOW_UNSIGNED=true) if you trust who made it",
        )
    return _checkpoint(folder if folder.is_dir() else _downloaded(reference), reference)


def _downloaded(name: str) -> Path:
    """Fetch a checkpoint's data files, and no code, from the hub or its cache."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - half a second, seldom needed
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        wanted = [CONFIG, FLOAT_WEIGHTS, TOKENIZER]
        return Path(snapshot_download(name, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise BundleError(
            f"`{name}` is no folder here, and the hub did not give it ({type(error).__name__})",
            "check the name, or download it elsewhere and give its folder",
        ) from error


def _checkpoint(folder: Path, name: str) -> Bundle:
    """Describe a checkpoint as a bundle: thresholds of one half, logits taken as they are."""
    for needed in (CONFIG, FLOAT_WEIGHTS, TOKENIZER):
        if not (folder / needed).is_file():
            raise BundleError(
                f"checkpoint `{name}`: {needed} is not in it",
                "save the model with safe_serialization=True and a fast tokenizer",
            )
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        labels = [config["id2label"][key] for key in sorted(config["id2label"], key=int)]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"checkpoint `{name}`: {CONFIG} names no labels (id2label)") from error
    if config.get("problem_type") == "single_label_classification":
        raise BundleError(
            f"checkpoint `{name}`: its labels exclude each other (problem_type in {CONFIG})",
            "tidegate judges each label by itself: a multi-label classifier is needed",
        )
    raw = {
        "format": 1,
        "name": name[-256:],
        "base_model": name[-256:],
        "max_length": min(MAX_LENGTH, int(config.get("max_position_embeddings", MAX_LENGTH))),
        "labels": labels,
        "thresholds": dict.fromkeys(labels, 0.5),
        "calibration": {label: Calibration(slope=1, intercept=0).model_dump() for label in labels},
        "metrics": {},
        "data_fingerprint": "unknown",
        "libraries": {},
        "files": {
            needed: file_entry(folder / needed).model_dump()
            for needed in (CONFIG, FLOAT_WEIGHTS, TOKENIZER)
        },
    }
    manifest = BundleManifest.model_validate(raw | {"version": content_version(raw)})
    return Bundle(folder, manifest, hashed=False)
