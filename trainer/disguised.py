"""Rows that are learnt from once more in disguise, so that a disguise says nothing by itself."""

from typing import Final

import numpy as np

from trainer.data import Rows
from trainer.disguise import disguise

TAUGHT: Final = ("leet", "mixed")  # what the cleaning leaves most of, and a little of each other


def with_disguised(rows: Rows, share: float, seed: int) -> Rows:
    """Return the rows, and after them a share of them again, disguised.

    Harmless rows are disguised as often as toxic ones: learnt is to read through a disguise,
    not to punish it.

    Args:
        rows: to learn from; never those that a model is judged by.
        share: in 0..1, of the rows that stand there once more.
        seed: of the choice of rows and of their disguises.
    """
    random = np.random.default_rng(seed)
    chosen = np.flatnonzero(random.random(len(rows)) < share)
    again = rows.take(chosen)
    kinds = random.choice(TAUGHT, len(again))
    texts = [disguise(text, str(kind), seed) for text, kind in zip(again.texts, kinds, strict=True)]
    return Rows(
        rows.texts + texts,
        np.concatenate([rows.labels, again.labels]),
        rows.names,
        np.concatenate([rows.weights, again.weights]),
        np.concatenate([rows.files, again.files]),
    )
