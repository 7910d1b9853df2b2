"""Micro-batches: nothing lost, nothing doubled, nothing over the budget."""

from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists

from worker.batching import WIDTH, OverBudgetError, micro_batches, padded, width_of

LENGTHS = lists(integers(1, 512), max_size=400)


@given(lengths=LENGTHS, budget=integers(512, 16_384))
def test_every_piece_is_in_exactly_one_batch_within_budget(lengths: list[int], budget: int) -> None:
    """Cutting a window loses no piece, doubles none and never overspends."""
    batches = micro_batches(lengths, budget)

    assert list(range(len(lengths))) == sorted(chain.from_iterable(batches))
    assert all(len(b) * width_of(max(lengths[i] for i in b)) <= budget for b in batches)


@given(lengths=LENGTHS, budget=integers(512, 16_384))
def test_the_longest_pieces_come_first_of_all(lengths: list[int], budget: int) -> None:
    """A budget too large for the device's memory shows at the first batch."""
    order = [lengths[i] for i in chain.from_iterable(micro_batches(lengths, budget))]

    assert all(left >= right for left, right in pairwise(order))


@given(lengths=LENGTHS, budget=integers(512, 16_384))
def test_no_batch_could_take_the_next_one_in(lengths: list[int], budget: int) -> None:
    """Each batch but the last is as full as its longest row allows."""
    batches = micro_batches(lengths, budget)

    for batch in batches[:-1]:
        assert (len(batch) + 1) * width_of(lengths[batch[0]]) > budget


def test_a_piece_over_the_budget_is_named_with_both_numbers() -> None:
    """The message holds what the piece takes, what there is, and what to raise."""
    with pytest.raises(OverBudgetError, match="longest piece: 104 tokens, budget: 100") as caught:
        micro_batches([3, 100, 5], budget=100)

    assert caught.value.hint == "raise TIDEGATE_SCORING__BUDGET"


def test_an_empty_window_makes_no_batch() -> None:
    """A window of dead letters alone has no pieces."""
    assert micro_batches([], budget=8) == []


@given(length=integers(1, 100_000))
def test_a_width_is_the_next_multiple_of_eight(length: int) -> None:
    """A width holds its row, is a multiple of WIDTH, and pads less than one WIDTH."""
    assert width_of(length) % WIDTH == 0
    assert 0 <= width_of(length) - length < WIDTH


@given(pieces=lists(lists(integers(1, 999), min_size=1, max_size=30), min_size=1, max_size=12))
def test_the_mask_covers_tokens_and_nothing_else(pieces: list[list[int]]) -> None:
    """Each row reads as its piece under the mask, and as padding outside it."""
    places = list(reversed(range(len(pieces))))

    batch = padded(pieces, places, pad_id=7)

    assert places == list(batch.places)
    assert (len(pieces), width_of(max(map(len, pieces)))) == batch.ids.shape == batch.mask.shape
    for row, place in enumerate(places):
        assert pieces[place] == batch.ids[row][batch.mask[row] == 1].tolist()
        assert np.all(batch.ids[row][batch.mask[row] == 0] == 7)
        assert [1] * len(pieces[place]) == batch.mask[row][: len(pieces[place])].tolist()
