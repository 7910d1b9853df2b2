"""Micro-batches: nothing lost, nothing doubled, nothing over the budget, and none too many."""

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from

from worker.batching import FLAT, FREE, cost_of, padded, rows_for
from worker.micro_batches import OVERHEAD, OverBudgetError, micro_batches

LENGTHS = lists(integers(1, 512), max_size=400)
FEW_LENGTHS = lists(integers(1, 512), min_size=1, max_size=8)
BUDGET = integers(512, 16_384)
GRIDS = sampled_from([FLAT, FREE, 8])
PADDED = sampled_from([FREE, 8])
REQUESTS = integers(1, 8)
FEW_ROWS = {1} | {rows for power in range(12) for rows in (2 << power, 3 << power)}


def computed(lengths: Sequence[int], grid: int) -> int:
    """Return the tokens that a device computes for pieces of such lengths at once."""
    if grid == FLAT:
        return sum(lengths)
    return rows_for(len(lengths), grid) * cost_of(max(lengths), grid)


def costs(lengths: Sequence[int], batches: Sequence[Sequence[int]], grid: int) -> list[int]:
    """Return what each micro-batch costs, in tokens, its overhead included."""
    return [OVERHEAD + computed([lengths[n] for n in batch], grid) for batch in batches]


def ended(batches: Sequence[int], requests: int) -> int:
    """Return when requests are through with batches, each taking the next one when free."""
    free_at = [0] * requests
    for cost in batches:
        free_at[free_at.index(min(free_at))] += cost
    return max(free_at)


def every_cut(lengths: list[int], budget: int, grid: int) -> Iterator[list[list[int]]]:
    """Cut pieces between neighbours, longest first, in each way that budget and rows allow."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    for ways in range(1 << (len(order) - 1)):
        cuts = [0, *(n + 1 for n in range(len(order) - 1) if ways >> n & 1), len(order)]
        batches = [order[start:stop] for start, stop in pairwise(cuts)]
        if any(len(batch) not in FEW_ROWS for batch in batches[:-1]):
            continue
        if all(computed([lengths[n] for n in batch], grid) <= budget for batch in batches):
            yield batches


@given(lengths=LENGTHS, budget=BUDGET, grid=GRIDS, requests=REQUESTS)
def test_every_piece_is_in_exactly_one_batch_within_budget(
    lengths: list[int], budget: int, grid: int, requests: int
) -> None:
    """Cutting a window loses no piece, doubles none and never overspends."""
    batches = micro_batches(lengths, budget, grid, requests)

    assert list(range(len(lengths))) == sorted(chain.from_iterable(batches))
    assert all(computed([lengths[i] for i in b], grid) <= budget for b in batches)


@given(lengths=LENGTHS, budget=BUDGET, grid=GRIDS, requests=REQUESTS)
def test_the_longest_pieces_come_first_of_all(
    lengths: list[int], budget: int, grid: int, requests: int
) -> None:
    """A budget too large for the device's memory shows at the first batch."""
    batches = micro_batches(lengths, budget, grid, requests)
    order = [lengths[i] for i in chain.from_iterable(batches)]

    assert all(left >= right for left, right in pairwise(order))


@given(lengths=LENGTHS, budget=BUDGET)
def test_end_to_end_no_batch_could_take_the_next_one_in(lengths: list[int], budget: int) -> None:
    """Each batch but the last is as full as the budget allows."""
    batches = micro_batches(lengths, budget, FLAT)

    for batch, following in pairwise(batches):
        assert computed([lengths[i] for i in (*batch, following[0])], FLAT) > budget


@given(lengths=FEW_LENGTHS, budget=integers(512, 1_024), grid=PADDED)
def test_no_other_cut_into_rectangles_is_cheaper(
    lengths: list[int], budget: int, grid: int
) -> None:
    """Of all that a budget allows: neither fuller nor evener ones, nor some of each."""
    found = sum(costs(lengths, micro_batches(lengths, budget, grid), grid))

    assert found == min(sum(costs(lengths, cut, grid)) for cut in every_cut(lengths, budget, grid))


@given(lengths=LENGTHS.filter(bool), budget=BUDGET, grid=PADDED, requests=REQUESTS)
def test_requests_that_share_a_window_end_no_later_than_with_the_cheapest_cut(
    lengths: list[int], budget: int, grid: int, requests: int
) -> None:
    """What is spent on evenness pays."""
    shared = micro_batches(lengths, budget, grid, requests)
    cheapest = micro_batches(lengths, budget, grid)

    assert ended(costs(lengths, shared, grid), requests) <= ended(
        costs(lengths, cheapest, grid), requests
    )


@pytest.mark.parametrize("requests", [2, 4])
def test_pieces_of_one_length_are_dealt_out_evenly(requests: int) -> None:
    """Under the whole budget one request would take them all."""
    batches = micro_batches([64] * 2 * requests, 512, 8, requests)

    assert [len(batch) for batch in batches] == [2] * requests


def test_of_two_pieces_each_request_takes_one() -> None:
    """Together they would be a little cheaper, and twice as late."""
    assert micro_batches([64, 56], 512, 8, requests=2) == [[0], [1]]
    assert micro_batches([64, 56], 512, 8, requests=1) == [[0, 1]]


@given(lengths=LENGTHS, budget=BUDGET, requests=REQUESTS)
def test_rectangles_on_a_grid_are_of_few_shapes(
    lengths: list[int], budget: int, requests: int
) -> None:
    """An engine builds kernels for each shape that it meets, and keeps those of some."""
    pieces = [[7] * length for length in lengths]
    found = {
        padded([pieces[i] for i in batch], 8).ids.shape
        for batch in micro_batches(lengths, budget, 8, requests)
    }

    assert {rows for rows, _ in found} <= FEW_ROWS
    assert all(width % 8 == 0 for _, width in found)


@given(lengths=LENGTHS, budget=BUDGET)
def test_without_padding_there_are_no_more_batches_than_with_it(
    lengths: list[int], budget: int
) -> None:
    """What the device need not compute leaves room."""
    end_to_end = micro_batches(lengths, budget, FLAT)

    assert len(end_to_end) <= len(micro_batches(lengths, budget, 8))


@pytest.mark.parametrize(("grid", "takes"), [(8, 104), (FREE, 101), (FLAT, 101)])
def test_a_piece_over_the_budget_is_named_with_both_numbers(grid: int, takes: int) -> None:
    """The message holds what the piece takes, what there is, and what to raise."""
    named = f"longest piece: {takes} tokens, budget: 100"
    with pytest.raises(OverBudgetError, match=named) as caught:
        micro_batches([3, 101, 5], budget=100, grid=grid)

    assert caught.value.hint == "raise TIDEGATE_SCORING__BUDGET"


@pytest.mark.parametrize("grid", [FLAT, FREE, 8])
@pytest.mark.parametrize("requests", [1, 2])
def test_an_empty_window_makes_no_batch(grid: int, requests: int) -> None:
    """A window of dead letters alone has no pieces."""
    assert micro_batches([], 8, grid, requests) == []


@given(length=integers(1, 512), grid=GRIDS)
def test_a_piece_costs_what_it_costs_in_a_batch_of_its_own(length: int, grid: int) -> None:
    """So that no budget that takes it refuses it."""
    assert computed([length], grid) == cost_of(length, grid)
