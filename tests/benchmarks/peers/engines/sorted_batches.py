"""How the bare engines are fed: a list sorted by length, cut under a budget of padded tokens.

The batches are tidegate's, since they are the best that were found for every engine; what is
left out is all that tidegate adds: pieces, calibration, the check of golden comments.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from benchmarks.peers.engines.engine import Engine, Scores
from schemas.bundle import TOKENIZER, read_manifest
from worker.batching import Padded, padded
from worker.micro_batches import micro_batches
from worker.scoring.engine import Logits

Infer = Callable[[Sequence[Padded]], Sequence[Logits]]


def sorted_batches(folder: Path, budget: int, grid: int, infer: Infer) -> Engine:
    """Return an engine over what computes the logits of micro-batches, [rows, labels] each.

    Args:
        folder: the model's bundle.
        budget: padded tokens in a micro-batch.
        grid: of the rectangles, as `worker.batching` has it.
        infer: computes the logits.
    """
    manifest = read_manifest(folder)
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.enable_truncation(manifest.max_length)

    def score(texts: Sequence[str]) -> Scores:
        pieces = [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]
        places = micro_batches([len(piece) for piece in pieces], budget, grid)
        found = infer([padded([pieces[place] for place in batch], grid) for batch in places])
        logits = np.empty((len(pieces), len(manifest.labels)))
        for batch, rows in zip(places, found, strict=True):
            logits[batch] = rows[: len(batch)]
        probabilities: Scores = (1 / (1 + np.exp(-logits))).tolist()
        return probabilities

    return score
