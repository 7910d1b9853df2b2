"""Prepared windows to probabilities: the room around an engine."""

from collections.abc import Sequence
from time import monotonic

import numpy as np
import structlog

from schemas.bundle import BundleManifest
from worker.batching import Piece, cost_of, micro_batches, shared_budget
from worker.scoring.engine import DeviceMemoryError, Engine
from worker.window import Comment, Prepared, Probabilities, Scored

log = structlog.get_logger()


class Scorer:
    """Scores pieces by an engine, calibrates, and gives a comment the worst of its pieces.

    Args:
        engine: computes the logits.
        manifest: labels in the order of the logits, and their calibration.
        budget: what a micro-batch may cost, in tokens; halved for good when memory runs out.
    """

    def __init__(self, engine: Engine, manifest: BundleManifest, budget: int) -> None:
        self._engine = engine
        self._budget = budget
        calibration = [manifest.calibration[label] for label in manifest.labels]
        self._slope = np.array([c.slope for c in calibration])
        self._intercept = np.array([c.intercept for c in calibration])

    def __call__(self, prepared: Prepared) -> Scored:
        """Score a window.

        The scores are float64 [comments, labels]; a comment that does not fit the device's
        memory, even alone, has NaN.

        Raises:
            ScoringError: the device is in no state to go on.
        """
        start = monotonic()
        comments = [entry for entry in prepared.entries if isinstance(entry, Comment)]
        of_pieces = self.probabilities(prepared.pieces)
        if comments:
            firsts = [comment.pieces.start for comment in comments]
            scores = np.maximum.reduceat(of_pieces, firsts, axis=0)
        else:
            scores = np.empty((0, len(self._slope)))
        return Scored(prepared, scores, monotonic() - start)

    def probabilities(self, pieces: Sequence[Piece]) -> Probabilities:
        """Return the calibrated probabilities of pieces, float64 [pieces, labels], in order."""
        logits = np.full((len(pieces), len(self._slope)), np.nan)
        rest = list(range(len(pieces)))
        while rest:
            lengths = [len(pieces[place]) for place in rest]
            budget = self._budget_of(lengths)
            batches = micro_batches(lengths, budget, self._engine.grid)
            placed = [[rest[number] for number in batch] for batch in batches]
            try:
                found = self._engine.logits(
                    [[pieces[place] for place in batch] for batch in placed]
                )
            except DeviceMemoryError:
                rest = self._halved(rest, pieces, longest=placed[0][0])
                continue
            for batch, rows in zip(placed, found, strict=True):
                logits[batch] = rows
            break
        return _sigmoid(self._slope * logits + self._intercept)

    def _budget_of(self, lengths: Sequence[int]) -> int:
        """Return what a micro-batch of this window may cost.

        Memory that ran out over short pieces is no reason not to try a long one alone.
        """
        grid = self._engine.grid
        longest = cost_of(max(lengths), grid)
        return shared_budget(lengths, max(longest, self._budget), self._engine.requests, grid)

    def _halved(self, rest: list[int], pieces: Sequence[Piece], longest: int) -> list[int]:
        """Halve the budget, or give up on a piece that does not fit even alone."""
        alone = cost_of(len(pieces[longest]), self._engine.grid)
        if self._budget <= alone:  # no batch cost more than this piece
            return [place for place in rest if place != longest]
        self._budget //= 2
        log.warning("budget halved: the device ran out of memory", budget=self._budget)
        return rest


def _sigmoid(x: Probabilities) -> Probabilities:
    """Compute 1 / (1 + exp(-x)) without overflow on either side."""
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-x)))
