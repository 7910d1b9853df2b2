"""How micro-batches lie in memory: tokens where they belong, and nothing else that counts."""

from array import array
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists

from worker.batching import FREE, Layout, flat, padded, rows_for, shared, width_for

FEW_ROWS = {1} | {rows for power in range(12) for rows in (2 << power, 3 << power)}
GRID = Layout(8)
PIECES = lists(lists(integers(1, 999), min_size=1, max_size=30), min_size=1, max_size=12)
ROWS_OF_PIECES = lists(
    lists(lists(integers(1, 999), min_size=1, max_size=12), min_size=1, max_size=4),
    min_size=1,
    max_size=7,
)


@given(pieces=integers(1, 3_000))
def test_rows_that_hold_pieces_are_the_next_of_the_grid(pieces: int) -> None:
    """No fewer than there are pieces, and none of the grid's in between; without one, as many."""
    holding = rows_for(pieces, GRID)

    assert min(rows for rows in FEW_ROWS if rows >= pieces) == holding
    assert rows_for(pieces, FREE) == pieces


def test_a_row_too_many_is_computed_rather_than_a_shape_of_its_own() -> None:
    """Five pieces are six rows, of which the last is masked but for one token."""
    found = padded([[[7] * 3]] * 5, GRID)

    assert found.ids.shape == (6, 8)
    assert found.mask[5].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]


@given(length=integers(1, 100_000), grid=integers(1, 64))
def test_a_row_is_as_wide_as_the_next_multiple_of_the_grid(length: int, grid: int) -> None:
    """It holds the piece, and less than one step of the grid beside it."""
    width = width_for(length, Layout(grid))

    assert width % grid == 0
    assert 0 <= width - length < grid


@given(pieces=PIECES, grid=integers(1, 16))
def test_the_mask_covers_tokens_and_nothing_else(pieces: list[list[int]], grid: int) -> None:
    """Each row reads as its piece under the mask, and as zeros outside it."""
    layout = Layout(grid)
    found = padded([[piece] for piece in pieces], layout)

    width = width_for(max(map(len, pieces)), layout)
    rows = rows_for(len(pieces), layout)
    assert (rows, width) == found.ids.shape == found.mask.shape
    assert not found.ids[len(pieces) :].any()
    for piece, ids, mask in zip(pieces, found.ids, found.mask, strict=False):
        assert piece == ids[mask == 1].tolist()
        assert np.all(ids[mask == 0] == 0)
        assert [1] * len(piece) == mask[: len(piece)].tolist()


def test_an_engine_whose_rows_are_not_shared_says_so() -> None:
    """Rather than that a piece is lost."""
    with pytest.raises(ValueError, match="too many values"):
        padded([[[1, 2], [3]]], GRID)


@given(batch=ROWS_OF_PIECES, grid=integers(1, 16))
def test_in_shared_rows_each_piece_is_found_where_it_is_said_to_be(
    batch: list[list[list[int]]], grid: int
) -> None:
    """With positions from 0 on, in a segment of its own; what fills up is in none."""
    layout = Layout(grid, shares=True)
    ids, positions, segments = (part.reshape(-1) for part in shared(batch, layout).rows)
    places, mask = shared(batch, layout).pieces
    pieces = list(chain.from_iterable(batch))

    for number, piece in enumerate(pieces):
        at = places[number][mask[number] == 1]
        assert ids[at].tolist() == piece
        assert positions[at].tolist() == list(range(len(piece)))
        assert np.flatnonzero(segments == number + 1).tolist() == at.tolist()
        assert mask[number].tolist() == [1] * len(piece) + [0] * (mask.shape[1] - len(piece))
    assert np.all(mask[len(pieces) :].sum(axis=1) == 1), "attention to nothing is no number"
    assert not ids[segments == 0].any()


@given(batch=ROWS_OF_PIECES, grid=integers(1, 16))
def test_shared_rows_lie_in_their_order_on_the_grid(
    batch: list[list[list[int]]], grid: int
) -> None:
    """One piece behind the other, each row from its first place on."""
    layout = Layout(grid, shares=True)
    found = shared([[array("i", piece) for piece in row] for row in batch], layout)

    width = width_for(max(sum(map(len, row)) for row in batch), layout)
    count = len(list(chain.from_iterable(batch)))
    assert found.rows.shape == (3, rows_for(len(batch), layout), width)
    assert found.pieces.shape[:2] == (2, rows_for(count, layout))
    for row, ids in zip(batch, found.rows[0], strict=False):
        tokens = list(chain.from_iterable(row))
        assert ids[: len(tokens)].tolist() == tokens


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
