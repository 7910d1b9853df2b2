"""How faithful an engine is: to torch fp32, and to itself when a comment stands alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.engines.engine import Scores

HALF = 0.5  # where a decision flips


def fidelity(found: Sequence[Scores], reference: Sequence[Scores]) -> dict[str, Any]:
    """Compare probabilities, a list of comments for each round.

    Returns:
        The largest and the mean absolute difference, and how many of the decisions at 0.5 flip.
    """
    ours, theirs = _stacked(found), _stacked(reference)
    difference = np.abs(ours - theirs)
    return {
        "max_abs": round(float(difference.max()), 5),
        "mean_abs": round(float(difference.mean()), 6),
        "flips": int(((ours >= HALF) != (theirs >= HALF)).sum()),
        "decisions": difference.size,
    }


def _stacked(rounds: Sequence[Scores]) -> NDArray[np.float64]:
    return np.array([row for scores in rounds for row in scores])
