"""tidegate's own scorer, loaded as a worker or the API does it, and fed in windows of 500."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.peers.engines.engine import Engine, Scores
from schemas.bundle import TOKENIZER
from worker import logs
from worker.bundle import open_bundle
from worker.pulse import Pulse
from worker.scoring.load import load_scorer
from worker.settings import LogSettings, load_settings
from worker.tokenise import BundleTokeniser


def load(folder: Path, *, lone_first: bool = False) -> Engine:
    """Load the bundle; the engine is the one that tidegate chooses on a machine without a GPU.

    Args:
        folder: the bundle.
        lone_first: whether it is loaded as the API does it, where a lone comment comes first.
    """
    logs.configure(LogSettings(level="warning"))
    settings = load_settings()
    bundle = open_bundle(str(folder), allow_unsigned=False)
    limits = settings.limits
    tokenise = BundleTokeniser(
        folder / TOKENIZER, bundle.manifest.max_length, limits.overlap, limits.pieces
    )
    scorer = load_scorer(bundle, settings.scoring, tokenise, Pulse(), lone_first=lone_first)
    window = settings.intake.max_messages

    def score(texts: Sequence[str]) -> Scores:
        scores: Scores = []
        for start in range(0, len(texts), window):
            pieces = [found.ids for found in tokenise(texts[start : start + window])]
            firsts = np.cumsum([0, *map(len, pieces[:-1])])
            of_pieces = scorer.probabilities([ids for found in pieces for ids in found])
            scores += np.maximum.reduceat(of_pieces, firsts, axis=0).tolist()
        return scores

    return score
