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
    labels = bundle.manifest.labels
    if any(comment.scores.keys() != set(labels) for comment in golden.comments):
        raise BundleError(
            f"bundle `{bundle.manifest.name}`: {GOLDEN} has other labels than {', '.join(labels)}"
        )
    tokenised = tokenise([comment.text for comment in golden.comments])
    if any(len(found.ids) > 1 for found in tokenised):
        raise BundleError(
            f"bundle `{bundle.manifest.name}`: {GOLDEN} has a comment longer than a piece"
        )
    pieces = [found.ids[0] for found in tokenised]
    expected = np.array([[c.scores[label] for label in labels] for c in golden.comments])
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
