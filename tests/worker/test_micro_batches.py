"""Micro-batches: nothing lost, nothing doubled, nothing over the budget, and none too many."""

from collections.abc import Sequence
from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from

from worker.batching import FLAT, FREE, Layout, padded, rows_for, shared, width_for
from worker.micro_batches import OverBudgetError, micro_batches
from worker.rectangles import cheapest, costs

GRID = Layout(8)
SHARED = Layout(16, shares=True)
LENGTHS = lists(integers(1, 512), max_size=400)
BUDGET = integers(512, 16_384)
LAYOUTS = sampled_from([FLAT, FREE, GRID, SHARED])
PADDED = sampled_from([FREE, GRID])
REQUESTS = integers(1, 8)
FEW_ROWS = {1} | {rows for power in range(12) for rows in (2 << power, 3 << power)}


def widest(lengths: Sequence[int], batch: Sequence[Sequence[int]], layout: Layout) -> int:
    """Return how wide the rows of a micro-batch are."""
    return width_for(max(sum(lengths[place] for place in row) for row in batch), layout)


def computed(lengths: Sequence[int], batch: Sequence[Sequence[int]], layout: Layout) -> int:
    """Return the tokens that a device computes for a micro-batch."""
    return rows_for(len(batch), layout) * widest(lengths, batch, layout)


def ended(batches: Sequence[int], requests: int) -> int:
    """Return when requests are through with batches, each taking the next one when free."""
    free_at = [0] * requests
    for cost in batches:
        free_at[free_at.index(min(free_at))] += cost
    return max(free_at)


@given(lengths=LENGTHS, budget=BUDGET, layout=LAYOUTS, requests=REQUESTS)
def test_every_piece_is_in_exactly_one_batch_within_budget(
    lengths: list[int], budget: int, layout: Layout, requests: int
) -> None:
    """Cutting a window loses no piece, doubles none and never overspends."""
    batches = micro_batches(lengths, budget, layout, requests)

    in_rows = chain.from_iterable(batches)
    assert list(range(len(lengths))) == sorted(chain.from_iterable(in_rows))
    assert all(computed(lengths, batch, layout) <= budget for batch in batches)


@given(lengths=LENGTHS, budget=BUDGET, layout=sampled_from([FLAT, FREE, GRID]), requests=REQUESTS)
def test_where_rows_are_not_filled_the_longest_pieces_come_first_of_all(
    lengths: list[int], budget: int, layout: Layout, requests: int
) -> None:
    """A budget too large for the device's memory shows at the first batch."""
    batches = micro_batches(lengths, budget, layout, requests)
    in_rows = chain.from_iterable(batches)
    order = [lengths[place] for place in chain.from_iterable(in_rows)]

    assert all(left >= right for left, right in pairwise(order))


@given(lengths=LENGTHS, budget=BUDGET, layout=PADDED, requests=REQUESTS)
def test_pieces_share_rows_only_where_the_engine_keeps_them_apart(
    lengths: list[int], budget: int, layout: Layout, requests: int
) -> None:
    """Elsewhere each has one of its own."""
    for batch in micro_batches(lengths, budget, layout, requests):
        assert [len(row) for row in batch] == [1] * len(batch)


@given(lengths=LENGTHS, budget=BUDGET)
def test_end_to_end_no_batch_could_take_the_next_one_in(lengths: list[int], budget: int) -> None:
    """Each batch but the last is as full as the budget allows."""
    batches = micro_batches(lengths, budget, FLAT)

    for (row,), (following,) in pairwise(batches):
        assert computed(lengths, [[*row, following[0]]], FLAT) > budget


@given(lengths=LENGTHS.filter(bool), budget=BUDGET, layout=PADDED, requests=REQUESTS)
def test_requests_that_share_a_window_end_no_later_than_with_the_cheapest_cut(
    lengths: list[int], budget: int, layout: Layout, requests: int
) -> None:
    """What is spent on evenness pays."""
    widths = sorted((width_for(length, layout) for length in lengths), reverse=True)

    batches = micro_batches(lengths, budget, layout, requests)
    found = costs(widths, [len(batch) for batch in batches], layout)
    alone = costs(widths, cheapest(widths, budget, layout), layout)

    assert ended(found, requests) <= ended(alone, requests)


@pytest.mark.parametrize("requests", [2, 4])
def test_pieces_of_one_length_are_dealt_out_evenly(requests: int) -> None:
    """Under the whole budget one request would take them all."""
    batches = micro_batches([64] * 2 * requests, 512, GRID, requests)

    assert [len(batch) for batch in batches] == [2] * requests


@pytest.mark.parametrize("layout", [GRID, SHARED])
def test_of_two_pieces_each_request_takes_one(layout: Layout) -> None:
    """Together they would be a little cheaper, and twice as late."""
    assert micro_batches([64, 56], 512, layout, requests=2) == [[[0]], [[1]]]


def test_of_two_pieces_one_request_takes_both() -> None:
    """In rows of their own or in one, whichever is narrower."""
    assert micro_batches([64, 56], 512, GRID) == [[[0], [1]]]
    assert micro_batches([100, 20, 8], 512, SHARED) == [[[0, 1, 2]]]


def test_many_short_pieces_fill_rows() -> None:
    """A hundred of 20 tokens take less than a tenth more than they have."""
    lengths = [20] * 100

    batches = micro_batches(lengths, 512, SHARED, requests=2)

    assert sum(computed(lengths, batch, SHARED) for batch in batches) < 1.1 * sum(lengths)


@given(lengths=LENGTHS, budget=BUDGET, layout=sampled_from([GRID, SHARED]), requests=REQUESTS)
def test_rectangles_on_a_grid_are_of_few_shapes(
    lengths: list[int], budget: int, layout: Layout, requests: int
) -> None:
    """An engine builds kernels for each shape that it meets, and keeps those of some."""
    pieces = [[7] * length for length in lengths]
    lay = shared if layout.shares else padded
    shapes = [
        part.shape[-2:]
        for batch in micro_batches(lengths, budget, layout, requests)
        for part in lay([[pieces[place] for place in row] for row in batch], layout)
    ]

    assert {rows for rows, _ in shapes} <= FEW_ROWS
    assert all(width % layout.grid == 0 for _, width in shapes)


@given(lengths=LENGTHS, budget=BUDGET)
def test_without_padding_there_are_no_more_batches_than_with_it(
    lengths: list[int], budget: int
) -> None:
    """What the device need not compute leaves room."""
    end_to_end = micro_batches(lengths, budget, FLAT)

    assert len(end_to_end) <= len(micro_batches(lengths, budget, GRID))


@pytest.mark.parametrize(
    ("layout", "takes"), [(GRID, 104), (SHARED, 112), (FREE, 101), (FLAT, 101)]
)
def test_a_piece_over_the_budget_is_named_with_both_numbers(layout: Layout, takes: int) -> None:
    """The message holds what the piece takes, what there is, and what to raise."""
    named = f"longest piece: {takes} tokens, budget: 100"
    with pytest.raises(OverBudgetError, match=named) as caught:
        micro_batches([3, 101, 5], budget=100, layout=layout)

    assert caught.value.hint == "raise TIDEGATE_SCORING__BUDGET"


@pytest.mark.parametrize("layout", [FLAT, FREE, GRID, SHARED])
@pytest.mark.parametrize("requests", [1, 2])
def test_an_empty_window_makes_no_batch(layout: Layout, requests: int) -> None:
    """A window of dead letters alone has no pieces."""
    assert micro_batches([], 8, layout, requests) == []


@given(length=integers(1, 512), layout=LAYOUTS)
def test_a_budget_that_a_piece_takes_by_itself_is_enough(length: int, layout: Layout) -> None:
    """So that no budget that takes it refuses it."""
    assert micro_batches([length], width_for(length, layout), layout) == [[[0]]]
