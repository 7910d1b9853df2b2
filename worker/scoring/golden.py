"""The bundle's own comments, which an engine must score rightly before it serves.

An engine can be fast and wrong (one was, on 5,600 of 12,000 decisions), and a score must
not lean on its neighbours: so each is scored alone and in company. Nor may it lean on how wide
its rectangle is, for which an engine has a kernel each.
"""

from collections.abc import Sequence
from itertools import chain, cycle, islice, pairwise
from typing import Final

import numpy as np
from pydantic import ValidationError

from schemas.bundle import GOLDEN, GoldenComments
from schemas.errors import BundleError, ScoringError
from worker.batching import Piece
from worker.bundle import Bundle
from worker.scoring.scorer import Scorer
from worker.tokenise import Tokeniser

# Tokens of pieces that are scored in rows as wide as they are, and wider. One width's kernel may be
# wrong where those of all others are right: OpenVINO's at 32 was, with AMX (docs/performance.md).
WIDTHS: Final = (*range(8, 65, 8), *range(80, 129, 16))
MOST_BY_WIDTH: Final = 0.5  # log-odds; of engines that are right 0.02 was seen, of that one 2
WRONG_ENGINE: Final = "choose another engine (TIDEGATE_SCORING__ENGINE)"


def check(bundle: Bundle, tokenise: Tokeniser, scorer: Scorer) -> float:
    """Score the golden comments and return the greatest difference of a probability.

    Raises:
        BundleError: the golden comments cannot be read, or are longer than a piece.
        ScoringError: the engine is off by more than the bundle's tolerance, or says otherwise of
            a piece when its row is wider.
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
            WRONG_ENGINE,
        )
    _refuse_other_widths(pieces, scorer, bundle)
    return worst


def _refuse_other_widths(pieces: Sequence[Piece], scorer: Scorer, bundle: Bundle) -> None:
    """Score pieces made of these, each in a row of its own width and in the next wider one."""
    tokens = list(chain.from_iterable(pieces))
    made = [
        [tokens[0], *islice(cycle(tokens), width * number, width * (number + 1) - 1)]
        for number, width in enumerate(WIDTHS)
        if width <= bundle.manifest.max_length
    ]
    pairs = scorer.log_odds([[[own], [wider]] for own, wider in pairwise(made)])
    for piece, ((_, own), (wider, _)) in zip(made[1:], pairwise(pairs), strict=False):
        moved = float(np.abs(own - wider).max())
        if not moved <= MOST_BY_WIDTH:
            raise ScoringError(
                f"bundle `{bundle.manifest.name}`: the engine says otherwise of {len(piece)} "
                f"tokens in a wider row, by {moved:.2f} of log-odds, at most {MOST_BY_WIDTH:g} "
                "is allowed",
                WRONG_ENGINE,
            )
