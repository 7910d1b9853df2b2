"""The model bundle on disk: what the trainer writes and the worker loads.

A folder in the Hugging Face layout (`config.json`, `model.safetensors`, `tokenizer.json`)
with `bundle.json` (this manifest), `model.int8.onnx`, `golden.json` and `README.md`.
"""

import hashlib
import json
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from schemas.contract import Contract, Name, Probability
from schemas.errors import BundleError

MANIFEST: Final = "bundle.json"
SIGNATURE: Final = "bundle.json.sig"
CONFIG: Final = "config.json"
TOKENIZER: Final = "tokenizer.json"
GOLDEN: Final = "golden.json"
CARD: Final = "README.md"
FLOAT_WEIGHTS: Final = "model.safetensors"
FLOAT_MODEL: Final = "model.onnx"
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


class ScoreMap(Contract):
    """A monotone map from one label's probability to another scale, linear between its knots.

    Below the first knot and above the last it stays at their values.
    """

    x: list[Probability] = Field(min_length=2, max_length=64, description="Ours, rising.")
    y: list[Probability] = Field(min_length=2, max_length=64, description="Theirs, never falling.")

    @model_validator(mode="after")
    def is_monotone(self) -> Self:
        """There are as many y as x, x rises and y never falls."""
        if len(self.x) != len(self.y):
            raise ValueError(f"x has {len(self.x)} knots, y has {len(self.y)}")
        if any(after <= before for before, after in pairwise(self.x)):
            raise ValueError("x: every knot must be above the one before")
        if any(after < before for before, after in pairwise(self.y)):
            raise ValueError("y: no knot may be below the one before")
        return self

    def __call__(self, probability: float) -> float:
        """Return a probability on the other scale."""
        if probability <= self.x[0]:
            return self.y[0]
        for (x0, x1), (y0, y1) in zip(pairwise(self.x), pairwise(self.y), strict=True):
            if probability <= x1:
                return y0 + (y1 - y0) * (probability - x0) / (x1 - x0)
        return self.y[-1]

    def threshold(self, theirs: float) -> float:
        """Return the least probability of ours that is at or over a threshold of theirs.

        Infinity if no probability is: the other scale does not reach so high here.
        """
        if theirs <= self.y[0]:
            return 0.0
        for (x0, x1), (y0, y1) in zip(pairwise(self.x), pairwise(self.y), strict=True):
            if theirs <= y1:
                return x0 + (x1 - x0) * (theirs - y0) / (y1 - y0)
        return inf


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
    score_maps: dict[Name, dict[str, ScoreMap]] = Field(
        default_factory=dict,
        description="By the name of another scale: maps of labels to it; not every label has one.",
    )

    @model_validator(mode="after")
    def every_label_has_its_threshold_and_calibration(self) -> Self:
        """Labels are unique, and thresholds and calibration speak of exactly these labels."""
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels: a label stands there twice")
        for field, found in (("thresholds", self.thresholds), ("calibration", self.calibration)):
            if set(found) != set(self.labels):
                raise ValueError(f"{field}: expected exactly the labels {', '.join(self.labels)}")
        for name, maps in self.score_maps.items():
            if unknown := maps.keys() - set(self.labels):
                raise ValueError(f"score_maps: {name} maps {', '.join(sorted(unknown))}, no label")
        return self


def content_version(manifest: dict[str, Any]) -> str:
    """Return the version that belongs to a manifest: a hash of all of it but the version.

    No maps are as good as an empty list of them: bundles from before there were any keep theirs.
    """
    rest = {
        key: value
        for key, value in manifest.items()
        if key != "version" and (key != "score_maps" or value)
    }
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
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleError(
            f"bundle `{folder}`: {MANIFEST} is not there",
            "give the folder that `tidegate train` wrote (a worker: TIDEGATE_BUNDLE, --bundle)",
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
