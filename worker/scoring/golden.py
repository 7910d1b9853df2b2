"""The bundle's own comments, which an engine must score rightly before it serves.

An engine can be fast and wrong (one was, on 5,600 of 12,000 decisions), and a score must
not lean on its neighbours: so each is scored alone and in company.
"""

import numpy as np
from pydantic import ValidationError

from schemas.bundle import GOLDEN, GoldenComments
from schemas.errors import BundleError, ScoringError
from worker.bundle import Bundle
from worker.scoring.scorer import Scorer
from worker.tokenise import Tokeniser


def check(bundle: Bundle, tokenise: Tokeniser, scorer: Scorer) -> float:
    """Score the golden comments and return the greatest difference of a probability.

    Raises:
        BundleError: the golden comments cannot be read, or are longer than a piece.
        ScoringError: the engine is off by more than the bundle's tolerance.
    """
    try:
        golden = GoldenComments.model_validate_json((bundle.folder / GOLDEN).read_bytes())
    except (OSError, ValidationError) as error:
        raise BundleError(f"bundle `{bundle.manifest.name}`: {GOLDEN}: {error}") from error
    pieces = [found.ids[0] for found in tokenise([comment.text for comment in golden.comments])]
    expected = np.array(
        [[c.scores[label] for label in bundle.manifest.labels] for c in golden.comments]
    )
    alone = np.concatenate([scorer.probabilities([piece]) for piece in pieces])
    together = scorer.probabilities(pieces)
    worst = float(max(np.abs(alone - expected).max(), np.abs(together - expected).max()))
    if not worst <= golden.tolerance:  # NaN is off, too
        raise ScoringError(
            f"bundle `{bundle.manifest.name}`: the engine is off by {worst:.3f} on a golden "
            f"comment, at most {golden.tolerance:g} is allowed",
            "choose another engine (TIDEGATE_SCORING__ENGINE)",
        )
    return worst
