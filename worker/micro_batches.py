"""A window's pieces to micro-batches: under a token budget, in the least that a device computes.

Where pieces are filled up to rectangles, sorted rows are cut between neighbours; where pieces may
share a row, rows of several widths are tried. Where pieces lie end to end, each micro-batch takes
what the budget lets it.
"""

from bisect import bisect_right
from collections.abc import Sequence
from heapq import heapreplace
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from schemas.errors import ScoringError
from worker.batching import FLAT, Layout, width_for
from worker.rectangles import at_least, cheapest, costs
from worker.shared_rows import shared_rows

# Micro-batches a request; with more of them than this the last one no longer weighs.
FEW: Final = 8

# A window that takes fewer turns of all requests than this is cut for more of them as well.
TURNS: Final = 4

WIDTHS: Final = (128, 96, 64, 48, 32)  # tokens, tried for rows that pieces share


class OverBudgetError(ScoringError):
    """A piece alone costs more than the budget."""


class _Rows(NamedTuple):
    """Places of pieces, row by row, with each row's width in tokens; the widest comes first."""

    places: Sequence[list[int]]
    widths: Sequence[int]


class _Cut(NamedTuple):
    """How many rows each micro-batch takes."""

    ends: tuple[int, int]  # when the last request is through, and what all compute, in tokens
    rows: _Rows
    sizes: Sequence[int]


def micro_batches(
    lengths: Sequence[int], budget: int, layout: Layout, requests: int = 1
) -> list[list[list[int]]]:
    """Cut a window into micro-batches of rows, under a token budget.

    A batch costs what the device computes: rows x the longest one's width where it pads, the
    sum of the lengths where it does not.

    Args:
        lengths: tokens in each of the window's n pieces, every one at least 1.
        budget: tokens that one micro-batch may cost.
        layout: how they lie in memory.
        requests: micro-batches that are computed at once; where pieces lie end to end it is one.

    Returns:
        Of each micro-batch its rows, of each row its pieces: indices into `lengths`, each of
        0..n-1 once. Where each has a row of its own, or lies end to end with others, the longest
        comes first, so that a budget too large for the device's memory shows at the first batch.

    Raises:
        OverBudgetError: a piece alone is over the budget.
    Source: both costs are those of text-embeddings-inference, core/src/queue.rs.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    if not order:
        return []
    longest = width_for(lengths[order[0]], layout)
    if longest > budget:
        raise OverBudgetError(
            f"longest piece: {longest} tokens, budget: {budget}",
            "raise TIDEGATE_SCORING__BUDGET",
        )
    if layout == FLAT:
        return _end_to_end(lengths, order, budget)
    widest = budget // layout.grid * layout.grid
    widths = {min(width, widest) for width in WIDTHS} if layout.shares else {0}
    tried = [_rows(lengths, order, width, layout) for width in widths]
    return _through_first(tried, budget, layout, requests)


def _end_to_end(lengths: Sequence[int], order: Sequence[int], budget: int) -> list[list[list[int]]]:
    """Return micro-batches of one row each, of which none leaves room for the next piece."""
    ends = list(accumulate((lengths[place] for place in order), initial=0))
    batches = []
    start = 0
    while start < len(order):
        stop = bisect_right(ends, ends[start] + budget) - 1
        batches.append([list(order[start:stop])])
        start = stop
    return batches


def _rows(lengths: Sequence[int], order: Sequence[int], width: int, layout: Layout) -> _Rows:
    """Put pieces that are so wide together at most into one row."""
    rows = shared_rows(lengths, order, width)
    tokens = [sum(lengths[place] for place in row) for row in rows]
    widest_first = sorted(range(len(rows)), key=tokens.__getitem__, reverse=True)
    widths = [width_for(tokens[row], layout) for row in widest_first]
    return _Rows([rows[row] for row in widest_first], widths)


def _through_first(
    tried: Sequence[_Rows], budget: int, layout: Layout, requests: int
) -> list[list[list[int]]]:
    """Return the micro-batches with which requests that take turns are through first."""
    cuts: list[_Cut] = []
    for least, rows in sorted((at_least(rows.widths, budget), rows) for rows in tried):
        if cuts and least >= requests * min(cut.ends[0] for cut in cuts):
            break  # however they are cut
        for each in _budgets(rows.widths, budget, requests):
            sizes = cheapest(rows.widths, each, layout)
            ends = _ends(costs(rows.widths, sizes, layout), requests)
            cuts.append(_Cut(ends, rows, sizes))
    first = min(cuts, key=lambda cut: cut.ends)
    bounds = pairwise(accumulate(first.sizes, initial=0))
    return [list(first.rows.places[start:stop]) for start, stop in bounds]


def _budgets(widths: Sequence[int], budget: int, requests: int) -> set[int]:
    """Return budgets under which a cut may be the best, in tokens.

    Of a small window the last micro-batch weighs: while one request computes it, the others idle.
    So smaller budgets are tried where a request would get a few micro-batches only.
    """
    tokens, widest = sum(widths), widths[0]
    if requests == 1 or tokens > FEW * requests * budget:
        return {budget}
    fewest = -(-tokens // (requests * budget))
    turns = (requests * (fewest + more) for more in range(max(1, TURNS - fewest)))
    return {min(-(-tokens // (each * widest)) * widest, budget) for each in turns} | {budget}


def _ends(costs: Sequence[int], requests: int) -> tuple[int, int]:
    """Return when the last request ends, and what all do; each takes the next one when free."""
    free_at = [0] * requests
    for cost in costs:
        heapreplace(free_at, free_at[0] + cost)
    return max(free_at), sum(costs)
