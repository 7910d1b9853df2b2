"""A worker whose scores cost nothing: all that is left is what a worker does beside the model.

    python -m benchmarks.blank_worker [--tokenise]

Its texts are tokenised by the shipped bundle's tokeniser if that is asked for, else not at all.
"""

import sys
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

import worker.run
from schemas.labels import LABELS
from worker import logs
from worker.settings import load_settings
from worker.tokenise import Pieces
from worker.window import Comment, Prepared, Scored

PIECE: Final = Pieces(([0] * 20,), truncated=False)
FLAGGED: Final = 10  # one comment in so many


def blank_tokenise(texts: Sequence[str]) -> list[Pieces]:
    """Return the same piece for each text."""
    return [PIECE] * len(texts)


def blank_score(window: Prepared) -> Scored:
    """Return the same scores for each window; one comment in ten is flagged."""
    comments = sum(isinstance(entry, Comment) for entry in window.entries)
    scores = np.full((comments, len(LABELS)), 0.01)
    scores[::FLAGGED] = 0.9
    return Scored(window, scores, 0.0)


def main() -> None:
    """Run the worker, all of it but the model."""
    patched: Any = worker.run
    patched.load_scorer = lambda *_: blank_score
    if "--tokenise" not in sys.argv:
        patched.tokeniser = lambda *_: blank_tokenise
    settings = load_settings()
    logs.configure(settings.log)
    worker.run.run_worker(settings)


if __name__ == "__main__":
    main()
