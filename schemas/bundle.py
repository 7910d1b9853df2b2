"""The model bundle on disk: what the trainer writes and the worker loads.

A folder in the Hugging Face layout (`config.json`, `model.safetensors`, `tokenizer.json`)
with `bundle.json` (this manifest), `model.int8.onnx`, `golden.json` and `README.md`.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from schemas.contract import Contract, Name, Probability
from schemas.errors import BundleError

MANIFEST: Final = "bundle.json"
CONFIG: Final = "config.json"
TOKENIZER: Final = "tokenizer.json"
GOLDEN: Final = "golden.json"
CARD: Final = "README.md"
FLOAT_WEIGHTS: Final = "model.safetensors"
INT8_MODEL: Final = "model.int8.onnx"

# A worker needs these whatever it scores with; the weights depend on the engine.
ALWAYS_NEEDED: Final = (CONFIG, TOKENIZER, GOLDEN)


class Calibration(Contract):
    """Platt scaling of one label: probability = sigmoid(slope * logit + intercept).

    Source: Platt 1999, "Probabilistic outputs for support vector machines".
    """

    slope: float = Field(gt=0, allow_inf_nan=False, description="Above 0: the order is kept.")
    intercept: float = Field(allow_inf_nan=False)


class FileEntry(Contract):
    """One file of the bundle, as it was written."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: NonNegativeInt


class GoldenComment(Contract):
    """A comment of ours with the calibrated probabilities that a faithful engine gives it."""

    text: str
    scores: dict[str, Probability]


class GoldenComments(Contract):
    """The comments that an engine must score rightly before it serves.

    `tolerance` is the greatest absolute difference of a probability that is allowed.
    """

    tolerance: Probability
    comments: list[GoldenComment] = Field(min_length=8)


class BundleManifest(Contract):
    """`bundle.json`: what the bundle is, how to read its logits, and the hashes of its files."""

    format: PositiveInt = 1
    name: Name
    version: Name = Field(description="The first 16 hex digits of the hash of all else here.")
    base_model: Name
    max_length: PositiveInt = Field(description="Tokens in a piece, [CLS] and [SEP] included.")
    labels: list[Name] = Field(min_length=1)
    thresholds: dict[str, Probability]
    calibration: dict[str, Calibration]
    metrics: dict[str, Any] = Field(description="Held-out figures as measured.")
    data_fingerprint: Name = Field(description="Hash over the rows trained on and held out.")
    libraries: dict[str, str]
    files: dict[str, FileEntry]

    @model_validator(mode="after")
    def every_label_has_its_threshold_and_calibration(self) -> Self:
        """Labels are unique, and thresholds and calibration speak of exactly these labels."""
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels: a label stands there twice")
        for field, found in (("thresholds", self.thresholds), ("calibration", self.calibration)):
            if set(found) != set(self.labels):
                raise ValueError(f"{field}: expected exactly the labels {', '.join(self.labels)}")
        return self


def content_version(manifest: dict[str, Any]) -> str:
    """Return the version that belongs to a manifest: a hash of all of it but the version."""
    rest = {key: value for key, value in manifest.items() if key != "version"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def file_entry(path: Path) -> FileEntry:
    """Hash a file as it stands on disk."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(sha256=digest, bytes=path.stat().st_size)


def read_manifest(folder: Path) -> BundleManifest:
    """Read `bundle.json` and check that it is whole.

    Raises:
        BundleError: the file is missing, is no manifest, or was changed after it was written.
    """
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_bytes())
        manifest = BundleManifest.model_validate(raw)
    except FileNotFoundError as error:
        raise BundleError(
            f"bundle `{folder}`: {MANIFEST} is not there",
            "give --bundle (TIDEGATE_BUNDLE) the folder that `tidegate train` wrote",
        ) from error
    except (ValidationError, ValueError) as error:
        raise BundleError(
            f"bundle `{folder}`: {MANIFEST} cannot be read: {error}", "copy the folder again"
        ) from error
    expected = content_version(raw)
    if manifest.version != expected:
        raise BundleError(
            f"bundle `{folder}`: {MANIFEST} says version {manifest.version}, "
            f"its contents are version {expected}",
            "the manifest was changed after it was written; copy the folder again",
        )
    return manifest


def verify(folder: Path, manifest: BundleManifest, needed: tuple[str, ...]) -> None:
    """Check that the files an engine is about to read are the ones that were written.

    Args:
        folder: the bundle.
        manifest: its manifest, as `read_manifest` gave it.
        needed: names of files, beside those that are always needed.

    Raises:
        BundleError: a file is missing, not listed, or has another hash.
    """
    for name in (*ALWAYS_NEEDED, *needed):
        listed, path = manifest.files.get(name), folder / name
        if listed is None or not path.is_file():
            where = "in the folder" if listed else f"in {MANIFEST}"
            raise BundleError(
                f"bundle `{manifest.name}`: {name} is needed and is not {where}",
                "the copy is incomplete; copy the folder again"
                if name in ALWAYS_NEEDED
                else "choose another engine (TIDEGATE_SCORING__ENGINE) or a bundle with it",
            )
        found = file_entry(path)
        if found.sha256 != listed.sha256:
            raise BundleError(
                f"bundle `{manifest.name}`: {name} has sha256 {found.sha256[:12]}… "
                f"({found.bytes:,} bytes), {MANIFEST} says {listed.sha256[:12]}… "
                f"({listed.bytes:,} bytes)",
                "the copy is incomplete or was changed; copy the folder again",
            )
