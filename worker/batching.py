"""Pieces to micro-batches of like length under a token budget."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ScoringError

# Widths are rounded up to a multiple of this: OpenVINO builds a kernel for each new shape,
# and a quarter of its speed goes into building; padding to 8 costs 4 %.
WIDTH: Final = 8

Ids = NDArray[np.int64]


class MicroBatch(NamedTuple):
    """What the device gets at once.

    `ids` and `mask` are [rows, width]; `places` says which piece of the window a row is.
    """

    ids: Ids
    mask: Ids
    places: Sequence[int]


class OverBudgetError(ScoringError):
    """A piece alone costs more than the budget."""


def width_of(length: int) -> int:
    """Return the width of a row that holds `length` tokens."""
    return -(-length // WIDTH) * WIDTH


def micro_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cut a window into micro-batches of like length under a token budget.

    A batch costs what the device computes, padding included: rows x the longest one's width.

    Args:
        lengths: tokens in each of the window's n pieces, every one at least 1.
        budget: padded tokens that one micro-batch may cost.

    Returns:
        Indices into `lengths`, each of 0..n-1 once; longest batch first, so that a
        budget too large for the device's memory shows at the first batch.

    Raises:
        OverBudgetError: a piece alone is over the budget.
    Source: the padded cost is that of text-embeddings-inference, core/src/queue.rs.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    if order and width_of(lengths[order[0]]) > budget:
        raise OverBudgetError(
            f"longest piece: {width_of(lengths[order[0]])} tokens, budget: {budget}",
            "raise TIDEGATE_SCORING__BUDGET",
        )
    batches: list[list[int]] = []
    start = 0
    while start < len(order):
        rows = budget // width_of(lengths[order[start]])
        batches.append(order[start : start + rows])
        start += rows
    return batches


def padded(pieces: Sequence[Sequence[int]], places: Sequence[int], pad_id: int) -> MicroBatch:
    """Lay pieces side by side, the short ones filled up with `pad_id`."""
    width = width_of(max(len(pieces[place]) for place in places))
    ids = np.full((len(places), width), pad_id, dtype=np.int64)
    mask = np.zeros((len(places), width), dtype=np.int64)
    for row, place in enumerate(places):
        length = len(pieces[place])
        ids[row, :length] = pieces[place]
        mask[row, :length] = 1
    return MicroBatch(ids, mask, places)
