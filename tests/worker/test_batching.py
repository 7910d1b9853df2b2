"""How micro-batches lie in memory: tokens where they belong, and nothing else that counts."""

from array import array
from itertools import chain, pairwise

import numpy as np
from hypothesis import given
from hypothesis.strategies import integers, lists

from worker.batching import (
    cost_of,
    flat,
    padded,
    rows_for,
)

FEW_ROWS = {1} | {rows for power in range(12) for rows in (2 << power, 3 << power)}
PIECES = lists(lists(integers(1, 999), min_size=1, max_size=30), min_size=1, max_size=12)


@given(pieces=integers(1, 3_000))
def test_rows_that_hold_pieces_are_the_next_of_the_grid(pieces: int) -> None:
    """No fewer than there are pieces, and none of the grid's in between; without one, as many."""
    holding = rows_for(pieces, 8)

    assert min(rows for rows in FEW_ROWS if rows >= pieces) == holding
    assert rows_for(pieces, 1) == pieces


def test_a_row_too_many_is_computed_rather_than_a_shape_of_its_own() -> None:
    """Five pieces are six rows, of which the last is masked but for one token."""
    found = padded([[7] * 3] * 5, 8)

    assert found.ids.shape == (6, 8)
    assert found.mask[5].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]


@given(length=integers(1, 100_000), grid=integers(1, 64))
def test_a_row_is_as_wide_as_the_next_multiple_of_the_grid(length: int, grid: int) -> None:
    """It holds the piece, and less than one step of the grid beside it."""
    assert cost_of(length, grid) % grid == 0
    assert 0 <= cost_of(length, grid) - length < grid


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
