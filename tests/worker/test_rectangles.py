"""Rows to rectangles: no cut between neighbours is cheaper than the one that is found."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from

from worker.batching import FREE, Layout, rows_for
from worker.rectangles import OVERHEAD, at_least, cheapest, costs

WIDTHS = lists(integers(1, 64).map(lambda n: n * 8), min_size=1, max_size=8)
FEW_ROWS = {1} | {rows for power in range(12) for rows in (2 << power, 3 << power)}
LAYOUTS = sampled_from([FREE, Layout(8)])


def plain_cost(widths: Sequence[int], sizes: Sequence[int], layout: Layout) -> int:
    """Return what is computed, in tokens, and the overhead of each rectangle."""
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    return sum(
        OVERHEAD + rows_for(size, layout) * widths[start]
        for size, start in zip(sizes, starts, strict=True)
    )


def every_cut(widths: Sequence[int], budget: int, layout: Layout) -> Iterator[list[int]]:
    """Cut rows between neighbours, in each way that budget and rows allow."""
    for ways in range(1 << (len(widths) - 1)):
        cuts = [0, *(n + 1 for n in range(len(widths) - 1) if ways >> n & 1), len(widths)]
        bounds = list(pairwise(cuts))
        sizes = [stop - start for start, stop in bounds]
        if any(size not in FEW_ROWS for size in sizes[:-1]):
            continue
        if all(rows_for(stop - start, layout) * widths[start] <= budget for start, stop in bounds):
            yield sizes


@given(widths=WIDTHS, budget=integers(512, 1_024), layout=LAYOUTS)
def test_no_other_cut_is_cheaper(widths: list[int], budget: int, layout: Layout) -> None:
    """Of all that a budget allows: neither fuller nor evener ones, nor some of each."""
    widths.sort(reverse=True)

    found = plain_cost(widths, cheapest(widths, budget, layout), layout)

    assert found == min(plain_cost(widths, c, layout) for c in every_cut(widths, budget, layout))


@given(widths=WIDTHS, budget=integers(512, 1_024), layout=LAYOUTS)
def test_no_cut_costs_less_than_what_all_cost_at_least(
    widths: list[int], budget: int, layout: Layout
) -> None:
    """So rows of which that is too much need not be cut."""
    widths.sort(reverse=True)

    assert all(
        sum(costs(widths, cut, layout)) >= at_least(widths, budget)
        for cut in every_cut(widths, budget, layout)
    )


def test_a_row_pays_for_looking_at_itself() -> None:
    """Two rows of 64 are cheaper than one of 128, as they are for an engine."""
    assert costs([128], [1], FREE) > costs([64, 64], [2], FREE)
