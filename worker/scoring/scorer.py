"""Prepared windows to probabilities: the room around an engine."""

from collections.abc import Sequence
from itertools import chain
from time import monotonic

import numpy as np
import structlog

from schemas.bundle import BundleManifest
from worker.batching import MicroBatch, Piece, width_for
from worker.begun import Begun, when_asked
from worker.micro_batches import micro_batches
from worker.scoring.engine import DeviceMemoryError, Engine, Logits, OverlappingEngine
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
        self._overlapping = engine if isinstance(engine, OverlappingEngine) else None
        self._budget = budget
        calibration = [manifest.calibration[label] for label in manifest.labels]
        self._slope = np.array([c.slope for c in calibration])
        self._intercept = np.array([c.intercept for c in calibration])

    @property
    def overlaps(self) -> bool:
        """Say whether a window that was begun is computed while others are prepared."""
        return self._overlapping is not None

    def __call__(self, prepared: Prepared) -> Scored:
        """Score a window.

        The scores are float64 [comments, labels]; a comment that does not fit the device's
        memory, even alone, has NaN.

        Raises:
            ScoringError: the device is in no state to go on.
        """
        return self.begin(prepared).result()

    def begin(self, prepared: Prepared) -> Begun[Scored]:
        """Begin to score a window; where the engine does not overlap, its result does it all."""
        start = monotonic()

        def scored(of_pieces: Probabilities) -> Scored:
            comments = [entry for entry in prepared.entries if isinstance(entry, Comment)]
            if comments:
                firsts = [comment.pieces.start for comment in comments]
                scores = np.maximum.reduceat(of_pieces, firsts, axis=0)
            else:
                scores = np.empty((0, len(self._slope)))
            return Scored(prepared, scores, monotonic() - start)

        return self._begin(prepared.pieces).then(scored)

    def probabilities(self, pieces: Sequence[Piece]) -> Probabilities:
        """Return the calibrated probabilities of pieces, float64 [pieces, labels], in order."""
        return self._begin(pieces).result()

    def log_odds(self, batches: Sequence[MicroBatch]) -> list[Probabilities]:
        """Return the logarithms of the calibrated odds of micro-batches that are cut already.

        Each is float64 [pieces, labels].
        """
        return [self._slope * logits + self._intercept for logits in self._engine.logits(batches)]

    def _begin(self, pieces: Sequence[Piece]) -> Begun[Probabilities]:
        everything = list(range(len(pieces)))
        first = self._placed(everything, pieces)
        begun = self._computed(first, pieces)

        def probabilities() -> Probabilities:
            logits = np.full((len(pieces), len(self._slope)), np.nan)
            rest, placed, found = everything, first, begun
            while rest:
                try:
                    for batch, of_batch in zip(placed, found.result(), strict=True):
                        logits[list(chain.from_iterable(batch))] = of_batch
                    break
                except DeviceMemoryError:
                    rest = self._halved(rest, pieces)
                    placed = self._placed(rest, pieces)
                    found = self._computed(placed, pieces)
            return _sigmoid(self._slope * logits + self._intercept)

        return Begun(begun.is_ready, probabilities)

    def _placed(self, places: Sequence[int], pieces: Sequence[Piece]) -> list[list[list[int]]]:
        """Cut the pieces at these places into micro-batches of rows; of each where they are."""
        if not places:
            return []
        lengths = [len(pieces[place]) for place in places]
        engine = self._engine
        # Memory that ran out over short pieces is no reason not to try a long one alone.
        budget = max(self._budget, width_for(max(lengths), engine.layout))
        batches = micro_batches(lengths, budget, engine.layout, self._requests())
        return [[[places[number] for number in row] for row in batch] for batch in batches]

    def _requests(self) -> int:
        """Return among how many requests of the engine a window is dealt out.

        To one where others are computed: which request ends first is no matter then, since there
        is more for each; only how much all of them have to do is.
        """
        has_others = self._overlapping is not None and not self._overlapping.is_idle
        return 1 if has_others else self._engine.requests

    def _computed(
        self, placed: Sequence[Sequence[Sequence[int]]], pieces: Sequence[Piece]
    ) -> Begun[list[Logits]]:
        """Begin to compute these micro-batches, where the engine can."""
        batches: list[MicroBatch] = [
            [[pieces[place] for place in row] for row in batch] for batch in placed
        ]
        if self._overlapping:
            return self._overlapping.begin(batches)
        return when_asked(self._engine.logits)(batches)

    def _halved(self, rest: list[int], pieces: Sequence[Piece]) -> list[int]:
        """Halve the budget, or give up on a piece that does not fit even alone."""
        longest = max(rest, key=lambda place: len(pieces[place]))
        alone = width_for(len(pieces[longest]), self._engine.layout)
        if self._budget <= alone:  # no batch cost more than this piece
            return [place for place in rest if place != longest]
        self._budget //= 2
        log.warning("budget halved: the device ran out of memory", budget=self._budget)
        return rest


def _sigmoid(x: Probabilities) -> Probabilities:
    """Compute 1 / (1 + exp(-x)) without overflow on either side."""
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-x)))
