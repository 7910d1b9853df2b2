"""Pieces to micro-batches under a token budget, and how a micro-batch lies in memory.

Some engines compute rectangles: every row is filled up to the longest. Some of those build a
kernel for each rectangle that they meet, so rectangles lie on a grid: their widths are its
multiples, and their rows as many as 1, 2, 3, 4, 6, 8, 12, 16 and so on. Others compute tokens end
to end, with no padding at all. What a micro-batch costs follows from that.
"""

from bisect import bisect_right
from collections.abc import Sequence
from heapq import heapreplace
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ScoringError

FLAT: Final = 0  # the grid of an engine that computes tokens end to end
FREE: Final = 1  # the grid of an engine whose rectangles may have any width and rows

# What a micro-batch costs an engine beside its tokens, in tokens: 21 were measured with OpenVINO
# on two cores with AVX2, and the faster the cores the more it is.
OVERHEAD: Final = 32

# Micro-batches a request; with more of them than this the last one no longer weighs.
FEW: Final = 8

TRIED: Final = 32  # budgets for a small window, at most: each is reckoned through in microseconds
STEP: Final = 16  # tokens between two of them, at least

Piece = Sequence[int]  # token ids, [CLS] and [SEP] included
MicroBatch = Sequence[Piece]  # what the device gets at once


class Padded(NamedTuple):
    """Pieces side by side, each a row. Both are [rows, width] int64.

    `mask` is 1 where there is a token. Rows behind the last piece are there for the grid's sake:
    their mask has a 1 as well, at the first place, since attention to nothing is no number.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]


class Flat(NamedTuple):
    """Pieces end to end, nothing between them. All three are int32.

    `ids` and `positions` are [tokens]; positions start at 0 in each piece. `bounds` is
    [pieces + 1]: piece i is tokens bounds[i] to bounds[i + 1].
    """

    ids: NDArray[np.int32]
    positions: NDArray[np.int32]
    bounds: NDArray[np.int32]


class OverBudgetError(ScoringError):
    """A piece alone costs more than the budget."""


def cost_of(length: int, grid: int) -> int:
    """Return what a piece of `length` tokens costs by itself, in tokens that are computed.

    On a grid of rows, that is the width of a row that holds it.
    """
    return length if grid == FLAT else -(-length // grid) * grid


def rows_within(most: int, grid: int) -> int:
    """Return how many rows a rectangle has where `most` fit; at least 1 must."""
    if grid <= FREE:
        return most
    power = 1 << (most.bit_length() - 1)
    return max(rows for rows in (power, 3 * power // 2) if rows <= most)


def rows_for(pieces: int, grid: int) -> int:
    """Return how many rows a rectangle has that holds so many pieces."""
    if grid <= FREE:
        return pieces
    power = 1 << (pieces - 1).bit_length()
    return min(rows for rows in (3 * power // 4, power) if rows >= pieces)


def micro_batches(lengths: Sequence[int], budget: int, grid: int) -> list[list[int]]:
    """Cut a window into micro-batches of like length under a token budget.

    A batch costs what the device computes: rows x the longest one's width where it pads, the
    sum of the lengths where it does not.

    Args:
        lengths: tokens in each of the window's n pieces, every one at least 1.
        budget: tokens that one micro-batch may cost.
        grid: of rectangles; FLAT: there are none.

    Returns:
        Indices into `lengths`, each of 0..n-1 once; longest batch first, so that a
        budget too large for the device's memory shows at the first batch.

    Raises:
        OverBudgetError: a piece alone is over the budget.
    Source: both costs are those of text-embeddings-inference, core/src/queue.rs.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    if order and (longest := cost_of(lengths[order[0]], grid)) > budget:
        raise OverBudgetError(
            f"longest piece: {longest} tokens, budget: {budget}",
            "raise TIDEGATE_SCORING__BUDGET",
        )
    ends = list(accumulate((lengths[place] for place in order), initial=0))
    batches: list[list[int]] = []
    start = 0
    while start < len(order):
        if grid == FLAT:
            stop = bisect_right(ends, ends[start] + budget) - 1
        else:
            stop = start + rows_within(budget // cost_of(lengths[order[start]], grid), grid)
        batches.append(order[start:stop])
        start = stop
    return batches


def shared_budget(lengths: Sequence[int], budget: int, requests: int, grid: int) -> int:
    """Return the budget under which requests that take turns are through with a window first.

    Of a small window the last micro-batch weighs: while one request computes it, the others idle.
    So smaller budgets are reckoned through where a request would get a few micro-batches only.

    Args:
        lengths: tokens in each of the window's pieces.
        budget: tokens that one micro-batch may cost, at least what the longest piece does.
        requests: micro-batches that are computed at once.
        grid: as in `micro_batches`.
    """
    costs = sorted((cost_of(length, grid) for length in lengths), reverse=True)
    if requests == 1 or sum(costs) > FEW * requests * budget:
        return budget
    least = max(costs[0], budget // FEW)
    step = max(STEP, budget // TRIED)
    tried: list[int] = [*range(budget, least, -step), least]
    return min(tried, key=lambda each: _makespan(costs, each, requests, grid))


def _makespan(widths: Sequence[int], budget: int, requests: int, grid: int) -> int:
    """Return when the last request ends, in tokens; each takes the next micro-batch when free."""
    free_at = [0] * requests
    start = 0
    while start < len(widths):
        taken = min(rows_within(budget // widths[start], grid), len(widths) - start)
        cost = OVERHEAD + rows_for(taken, grid) * widths[start]
        heapreplace(free_at, free_at[0] + cost)
        start += taken
    return max(free_at)


def padded(pieces: MicroBatch, grid: int) -> Padded:
    """Lay pieces side by side, the short ones filled up with zeros that the mask hides."""
    shape = rows_for(len(pieces), grid), cost_of(max(map(len, pieces)), grid)
    ids = np.zeros(shape, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    mask[len(pieces) :, 0] = 1
    for row, piece in enumerate(pieces):
        ids[row, : len(piece)] = piece
        mask[row, : len(piece)] = 1
    return Padded(ids, mask)


def flat(pieces: MicroBatch) -> Flat:
    """Lay pieces end to end."""
    lengths = np.fromiter(map(len, pieces), np.int32, len(pieces))
    bounds = np.zeros(len(pieces) + 1, dtype=np.int32)
    np.cumsum(lengths, out=bounds[1:])
    ids = np.concatenate([np.asarray(piece, np.int32) for piece in pieces])
    positions = np.arange(len(ids), dtype=np.int32) - np.repeat(bounds[:-1], lengths)
    return Flat(ids, positions, bounds)
