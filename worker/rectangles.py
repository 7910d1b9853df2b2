"""Rows to rectangles: the cheapest cut between neighbours, by dynamic programming.

A rectangle more costs its overhead, one less costs padding.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from worker.batching import FREE, ROWS, Layout, rows_for

# What a micro-batch costs an engine beside its tokens, in tokens: with OpenVINO on two cores 21
# were measured with AVX2, 50 with VNNI.
OVERHEAD: Final = 40

# In a row so wide a token costs twice what it costs by itself, since it looks at all others: with
# VNNI a row of 128 costs 8 to 9 % more than two of 64.
ATTENTION: Final = 768


def cheapest(widths: Sequence[int], budget: int, layout: Layout) -> list[int]:
    """Return how many rows each rectangle takes where all of them together cost the least.

    Numbers of rows are tried that a grid has, where there is none, too: all of them would cost
    more than they gain.

    Args:
        widths: [rows], widest first.
        budget: tokens that a rectangle may have.
        layout: of the rectangles.
    """
    count = len(widths)
    least = [0] * (count + 1)  # tokens, of the rows from here to the end
    taken = [0] * count
    for start in reversed(range(count)):
        width, left = widths[start], count - start
        best = -1
        for rows in ROWS:
            holds = min(rows, left)
            cost = (holds if layout == FREE else rows) * width
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
    while start < count:
        sizes.append(taken[start])
        start += taken[start]
    return sizes


def costs(widths: Sequence[int], sizes: Sequence[int], layout: Layout) -> list[int]:
    """Return what each rectangle costs with all that belongs to it, in tokens."""
    starts = accumulate(sizes, initial=0)
    return [
        OVERHEAD + rows_for(size, layout) * cost_of_row(widths[start])
        for size, start in zip(sizes, starts, strict=False)
    ]


def at_least(widths: Sequence[int], budget: int) -> int:
    """Return what all rectangles cost at least, however they are cut, in tokens."""
    return -(-sum(widths) // budget) * OVERHEAD + sum(map(cost_of_row, widths))


def cost_of_row(width: int) -> int:
    """Return what a row costs, in tokens, with what its tokens pay to look at each other."""
    return width + width * width // ATTENTION
