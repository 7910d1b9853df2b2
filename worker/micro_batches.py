"""A window's pieces to micro-batches: under a token budget, in the least that a device computes.

Where pieces are filled up to rectangles, sorted ones are cut between neighbours, and where to cut
is found by dynamic programming: a rectangle more costs its overhead, one less costs padding. Where
they lie end to end, each micro-batch takes what the budget lets it.
"""

from bisect import bisect_right
from collections.abc import Sequence
from heapq import heapreplace
from itertools import accumulate, pairwise
from typing import Final

from schemas.errors import ScoringError
from worker.batching import FLAT, FREE, ROWS, cost_of, rows_for

# What a micro-batch costs an engine beside its tokens, in tokens: with OpenVINO on two cores 21
# were measured with AVX2, 50 with VNNI.
OVERHEAD: Final = 40

# Micro-batches a request; with more of them than this the last one no longer weighs.
FEW: Final = 8

SHARES: Final = (1, 3 / 4, 1 / 2, 3 / 8, 1 / 4)  # of the budget, tried for a small window


class OverBudgetError(ScoringError):
    """A piece alone costs more than the budget."""


def micro_batches(
    lengths: Sequence[int], budget: int, grid: int, requests: int = 1
) -> list[list[int]]:
    """Cut a window into micro-batches of like length under a token budget.

    A batch costs what the device computes: rows x the longest one's width where it pads, the
    sum of the lengths where it does not.

    Args:
        lengths: tokens in each of the window's n pieces, every one at least 1.
        budget: tokens that one micro-batch may cost.
        grid: of rectangles; FLAT: there are none.
        requests: micro-batches that are computed at once; where pieces lie end to end it is one.

    Returns:
        Indices into `lengths`, each of 0..n-1 once; longest batch first, so that a
        budget too large for the device's memory shows at the first batch.

    Raises:
        OverBudgetError: a piece alone is over the budget.
    Source: both costs are those of text-embeddings-inference, core/src/queue.rs.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    costs = [cost_of(lengths[place], grid) for place in order]
    if costs and costs[0] > budget:
        raise OverBudgetError(
            f"longest piece: {costs[0]} tokens, budget: {budget}",
            "raise TIDEGATE_SCORING__BUDGET",
        )
    if grid == FLAT:
        sizes = _filled(costs, budget)
    else:
        sizes = _through_first(costs, budget, grid, requests)
    ends = accumulate(sizes, initial=0)
    return [order[start:stop] for start, stop in pairwise(ends)]


def _filled(lengths: Sequence[int], budget: int) -> list[int]:
    """Return how many pieces each micro-batch takes when none leaves room for the next one."""
    ends = list(accumulate(lengths, initial=0))
    sizes: list[int] = []
    start = 0
    while start < len(lengths):
        stop = bisect_right(ends, ends[start] + budget) - 1
        sizes.append(stop - start)
        start = stop
    return sizes


def _through_first(widths: Sequence[int], budget: int, grid: int, requests: int) -> list[int]:
    """Return the cut by which requests that take turns are through with a window first.

    Of a small window the last micro-batch weighs: while one request computes it, the others idle.
    So smaller budgets are tried where a request would get a few micro-batches only.
    """
    tokens = sum(widths)
    if requests == 1 or not 0 < tokens <= FEW * requests * budget:
        return _cheapest(widths, budget, grid)
    tried = {round(share * budget) for share in SHARES} | {widths[0], -(-tokens // requests)}
    cuts = [_cheapest(widths, each, grid) for each in tried if widths[0] <= each <= budget]
    return min(cuts, key=lambda sizes: _makespan(_computed(widths, sizes, grid), requests))


def _cheapest(widths: Sequence[int], budget: int, grid: int) -> list[int]:
    """Return how many pieces each rectangle takes where all of them together cost the least.

    Numbers of rows are tried that a grid has, where there is none, too: all of them would cost
    more than they gain.

    Args:
        widths: [pieces] of the rows, longest first.
        budget: tokens that a rectangle may have.
        grid: that rectangles lie on.
    """
    pieces = len(widths)
    least = [0] * (pieces + 1)  # tokens, of the pieces from here to the end
    taken = [0] * pieces
    for start in reversed(range(pieces)):
        width, left = widths[start], pieces - start
        best = -1
        for rows in ROWS:
            holds = min(rows, left)
            cost = (holds if grid == FREE else rows) * width
            if cost > budget:
                break
            cost += OVERHEAD + least[start + holds]
            if best < 0 or cost <= best:  # of those that cost the same the fullest
                best, taken[start] = cost, holds
            if rows >= left:
                break
        least[start] = best
    sizes: list[int] = []
    start = 0
    while start < pieces:
        sizes.append(taken[start])
        start += taken[start]
    return sizes


def _computed(widths: Sequence[int], sizes: Sequence[int], grid: int) -> list[int]:
    """Return what each rectangle costs, in tokens, its overhead included."""
    starts = accumulate(sizes, initial=0)
    return [
        OVERHEAD + rows_for(size, grid) * widths[start]
        for size, start in zip(sizes, starts, strict=False)
    ]


def _makespan(costs: Sequence[int], requests: int) -> tuple[int, int]:
    """Return when the last request ends, and what all do; each takes the next one when free."""
    free_at = [0] * requests
    for cost in costs:
        heapreplace(free_at, free_at[0] + cost)
    return max(free_at), sum(costs)
