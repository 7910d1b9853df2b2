"""A tokeniser and a scorer whose results are a hash of the text.

A verdict that was joined to the wrong comment has the wrong probabilities, and is caught.
"""

import hashlib
from collections.abc import Sequence
from time import monotonic

import numpy as np

from schemas.bundle import BundleManifest, Calibration, content_version
from schemas.labels import LABELS
from worker.tokenise import Pieces
from worker.window import Comment, Prepared, Scored

THRESHOLD = 0.5


def stub_manifest() -> BundleManifest:
    """A manifest with the six labels, thresholds of one half and no files."""
    raw = {
        "format": 1,
        "name": "stub",
        "base_model": "none",
        "max_length": 128,
        "labels": list(LABELS),
        "thresholds": dict.fromkeys(LABELS, THRESHOLD),
        "calibration": {label: Calibration(slope=1, intercept=0).model_dump() for label in LABELS},
        "metrics": {},
        "data_fingerprint": "none",
        "libraries": {},
        "files": {},
    }
    return BundleManifest.model_validate(raw | {"version": content_version(raw)})


def stub_tokenise(texts: Sequence[str]) -> list[Pieces]:
    """One piece a text, of one token a word."""
    return [Pieces(([0] * max(1, len(text.split())),), truncated=False) for text in texts]


def stub_scores(text: str) -> list[float]:
    """Six probabilities; about one comment in ten has one over the threshold."""
    digest = hashlib.blake2b(text.encode(), digest_size=6).digest()
    return [round((byte / 255) ** 40, 6) for byte in digest]


def stub_score(prepared: Prepared) -> Scored:
    """Score a window by hashes."""
    start = monotonic()
    rows = [stub_scores(e.event.text) for e in prepared.entries if isinstance(e, Comment)]
    scores = np.array(rows, dtype=np.float64).reshape(len(rows), len(LABELS))
    return Scored(prepared, scores, monotonic() - start)
