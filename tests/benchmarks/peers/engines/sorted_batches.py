"""How the bare engines are fed: a list sorted by length, cut under a budget of padded tokens.

The batches are tidegate's, since they are the best that were found for every engine; what is
left out is all that tidegate adds: pieces, calibration, the check of golden comments.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from benchmarks.peers.engines.engine import Engine, Scores
from schemas.bundle import TOKENIZER, read_manifest
from worker.batching import Layout, Padded, padded
from worker.micro_batches import micro_batches
from worker.scoring.engine import Logits

Infer = Callable[[Sequence[Padded]], Sequence[Logits]]


def sorted_batches(folder: Path, budget: int, layout: Layout, infer: Infer) -> Engine:
    """Return an engine over what computes the logits of micro-batches, [rows, labels] each.

    Args:
        folder: the model's bundle.
        budget: padded tokens in a micro-batch.
        layout: of rectangles of one piece a row.
        infer: computes the logits.
    """
    manifest = read_manifest(folder)
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.enable_truncation(manifest.max_length)

    def score(texts: Sequence[str]) -> Scores:
        pieces = [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]
        places = micro_batches([len(piece) for piece in pieces], budget, layout)
        batches = [[[pieces[place] for place in row] for row in batch] for batch in places]
        found = infer([padded(batch, layout) for batch in batches])
        logits = np.empty((len(pieces), len(manifest.labels)))
        for batch, rows in zip(places, found, strict=True):
            logits[list(chain.from_iterable(batch))] = rows[: len(batch)]
        probabilities: Scores = (1 / (1 + np.exp(-logits))).tolist()
        return probabilities

    return score
