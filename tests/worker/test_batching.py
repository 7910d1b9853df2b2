"""Micro-batches: nothing lost, nothing doubled, nothing over the budget."""

from array import array
from collections.abc import Sequence
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from

from worker.batching import (
    FLAT,
    OVERHEAD,
    OverBudgetError,
    cost_of,
    flat,
    micro_batches,
    padded,
    rows_for,
    rows_within,
    shared_budget,
)

LENGTHS = lists(integers(1, 512), max_size=400)
BUDGET = integers(512, 16_384)
GRIDS = sampled_from([FLAT, 1, 8])
FEW_ROWS = {1} | {rows for power in range(12) for rows in (2 << power, 3 << power)}
PIECES = lists(lists(integers(1, 999), min_size=1, max_size=30), min_size=1, max_size=12)


def computed(lengths: Sequence[int], grid: int) -> int:
    """Return the tokens that a device computes for pieces of such lengths at once."""
    if grid == FLAT:
        return sum(lengths)
    return rows_for(len(lengths), grid) * cost_of(max(lengths), grid)


@given(lengths=LENGTHS, budget=BUDGET, grid=GRIDS)
def test_every_piece_is_in_exactly_one_batch_within_budget(
    lengths: list[int], budget: int, grid: int
) -> None:
    """Cutting a window loses no piece, doubles none and never overspends."""
    batches = micro_batches(lengths, budget, grid)

    assert list(range(len(lengths))) == sorted(chain.from_iterable(batches))
    assert all(computed([lengths[i] for i in b], grid) <= budget for b in batches)


@given(lengths=LENGTHS, budget=BUDGET, grid=GRIDS)
def test_the_longest_pieces_come_first_of_all(lengths: list[int], budget: int, grid: int) -> None:
    """A budget too large for the device's memory shows at the first batch."""
    batches = micro_batches(lengths, budget, grid)
    order = [lengths[i] for i in chain.from_iterable(batches)]

    assert all(left >= right for left, right in pairwise(order))


@given(lengths=LENGTHS, budget=BUDGET, grid=GRIDS)
def test_no_batch_could_take_the_next_one_in(lengths: list[int], budget: int, grid: int) -> None:
    """Each batch but the last is as full as the budget, and on a grid its rows, allow."""
    batches = micro_batches(lengths, budget, grid)

    for batch, following in pairwise(batches):
        with_next = [lengths[i] for i in (*batch, following[0])]
        assert computed(with_next, grid) > budget
        assert rows_for(len(batch), grid) == len(batch), "none of its rows is empty"


@given(lengths=LENGTHS, budget=BUDGET, requests=integers(1, 8))
def test_rectangles_on_a_grid_are_of_few_shapes(
    lengths: list[int], budget: int, requests: int
) -> None:
    """An engine builds kernels for each shape that it meets, and keeps those of some."""
    pieces = [[7] * length for length in lengths]
    shared = shared_budget(lengths, budget, requests, 8) if lengths else budget
    found = {
        padded([pieces[i] for i in batch], 8).ids.shape
        for batch in micro_batches(lengths, shared, 8)
    }

    assert {rows for rows, _ in found} <= FEW_ROWS
    assert all(width % 8 == 0 for _, width in found)


@given(most=integers(1, 3_000))
def test_rows_that_hold_pieces_are_the_next_of_the_grid(most: int) -> None:
    """The most that fit are no more than fit, and the least that hold them hold them."""
    within, holding = rows_within(most, 8), rows_for(most, 8)

    assert {within, holding} <= FEW_ROWS
    assert within <= most <= holding
    assert not [rows for rows in FEW_ROWS if within < rows < holding and rows != most]
    assert (rows_within(most, 1), rows_for(most, 1)) == (most, most)


@given(lengths=LENGTHS, budget=BUDGET)
def test_without_padding_there_are_no_more_batches_than_with_it(
    lengths: list[int], budget: int
) -> None:
    """What the device need not compute leaves room."""
    end_to_end = micro_batches(lengths, budget, FLAT)

    assert len(end_to_end) <= len(micro_batches(lengths, budget, 8))


@pytest.mark.parametrize(("grid", "takes"), [(8, 104), (1, 101), (FLAT, 101)])
def test_a_piece_over_the_budget_is_named_with_both_numbers(grid: int, takes: int) -> None:
    """The message holds what the piece takes, what there is, and what to raise."""
    named = f"longest piece: {takes} tokens, budget: 100"
    with pytest.raises(OverBudgetError, match=named) as caught:
        micro_batches([3, 101, 5], budget=100, grid=grid)

    assert caught.value.hint == "raise TIDEGATE_SCORING__BUDGET"


@pytest.mark.parametrize("grid", [FLAT, 1, 8])
def test_an_empty_window_makes_no_batch(grid: int) -> None:
    """A window of dead letters alone has no pieces."""
    assert micro_batches([], budget=8, grid=grid) == []


def ended(lengths: list[int], budget: int, requests: int) -> int:
    """Return when requests are through with a window, each taking the next micro-batch when free.

    In tokens, with what a micro-batch costs beside its own.
    """
    free_at = [0] * requests
    for batch in micro_batches(lengths, budget, 8):
        first = free_at.index(min(free_at))
        free_at[first] += OVERHEAD + computed([lengths[n] for n in batch], 8)
    return max(free_at)


@given(lengths=LENGTHS.filter(bool), budget=BUDGET, requests=integers(1, 8))
def test_a_shared_window_is_done_no_later_than_an_unshared_one(
    lengths: list[int], budget: int, requests: int
) -> None:
    """Nor does a micro-batch cost more than it may, or less than the longest piece."""
    shared = shared_budget(lengths, budget, requests, 8)

    assert cost_of(max(lengths), 8) <= shared <= budget
    assert ended(lengths, shared, requests) <= ended(lengths, budget, requests)


@pytest.mark.parametrize("requests", [2, 4])
def test_pieces_of_one_length_are_dealt_out_evenly(requests: int) -> None:
    """Under the whole budget one request would take them all."""
    lengths = [64] * 2 * requests

    shared = shared_budget(lengths, 512, requests, 8)

    assert [2] * requests == [len(b) for b in micro_batches(lengths, shared, 8)]


def test_a_row_too_many_is_computed_rather_than_a_shape_of_its_own() -> None:
    """Five pieces are six rows, of which the last is masked but for one token."""
    found = padded([[7] * 3] * 5, 8)

    assert found.ids.shape == (6, 8)
    assert found.mask[5].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]


def test_one_request_takes_all_that_it_may() -> None:
    """As does each of several, of a window with many micro-batches for all."""
    assert shared_budget([64] * 16, 512, 1, 8) == 512
    assert shared_budget([64] * 1_000, 512, 2, 8) == 512


@given(length=integers(1, 100_000), grid=integers(1, 64))
def test_a_row_is_as_wide_as_the_next_multiple_of_the_grid(length: int, grid: int) -> None:
    """It holds the piece, and less than one step of the grid beside it."""
    assert cost_of(length, grid) % grid == 0
    assert 0 <= cost_of(length, grid) - length < grid


@given(length=integers(1, 512), grid=GRIDS)
def test_a_piece_costs_what_it_costs_in_a_batch_of_its_own(length: int, grid: int) -> None:
    """So that no budget that takes it refuses it."""
    assert computed([length], grid) == cost_of(length, grid)


@given(pieces=PIECES, grid=integers(1, 16))
def test_the_mask_covers_tokens_and_nothing_else(pieces: list[list[int]], grid: int) -> None:
    """Each row reads as its piece under the mask, and as zeros outside it."""
    found = padded(pieces, grid)

    width = cost_of(max(map(len, pieces)), grid)
    rows = rows_for(len(pieces), grid)
    assert (rows, width) == found.ids.shape == found.mask.shape
    assert not found.ids[len(pieces) :].any()
    for piece, ids, mask in zip(pieces, found.ids, found.mask, strict=False):
        assert piece == ids[mask == 1].tolist()
        assert np.all(ids[mask == 0] == 0)
        assert [1] * len(piece) == mask[: len(piece)].tolist()


@given(pieces=PIECES)
def test_end_to_end_there_is_nothing_but_tokens(pieces: list[list[int]]) -> None:
    """Each piece reads as itself between its bounds, and its positions begin at 0."""
    found = flat([array("i", piece) for piece in pieces])  # as a tokeniser gives them

    assert list(chain.from_iterable(pieces)) == found.ids.tolist()
    assert found.bounds[0] == 0
    assert len(found.ids) == len(found.positions) == found.bounds[-1]
    for piece, (start, stop) in zip(pieces, pairwise(found.bounds), strict=True):
        assert piece == found.ids[start:stop].tolist()
        assert list(range(len(piece))) == found.positions[start:stop].tolist()
    assert {part.dtype for part in found} == {np.dtype(np.int32)}
