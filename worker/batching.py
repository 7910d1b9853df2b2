"""How a micro-batch lies in memory, and what it costs there.

Some engines compute rectangles: every row is filled up to the longest. Some of those build a
kernel for each rectangle that they meet, so rectangles lie on a grid: their widths are its
multiples, and their rows as many as 1, 2, 3, 4, 6, 8, 12, 16 and so on. Others compute tokens end
to end, with no padding at all. What a micro-batch costs follows from that.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

FLAT: Final = 0  # the grid of an engine that computes tokens end to end
FREE: Final = 1  # the grid of an engine whose rectangles may have any width and rows
ROWS: Final = sorted({factor << power for factor in (1, 3) for power in range(20)})  # of a grid's

Piece = Sequence[int]  # token ids, [CLS] and [SEP] included
MicroBatch = Sequence[Piece]  # what the device gets at once


class Padded(NamedTuple):
    """Pieces side by side, each a row. Both are [rows, width] int64.

    `mask` is 1 where there is a token. Rows behind the last piece are there for the grid's sake:
    their mask has a 1 as well, at the first place, since attention to nothing is no number.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]


class Flat(NamedTuple):
    """Pieces end to end, nothing between them. All three are int32.

    `ids` and `positions` are [tokens]; positions start at 0 in each piece. `bounds` is
    [pieces + 1]: piece i is tokens bounds[i] to bounds[i + 1].
    """

    ids: NDArray[np.int32]
    positions: NDArray[np.int32]
    bounds: NDArray[np.int32]


def cost_of(length: int, grid: int) -> int:
    """Return what a piece of `length` tokens costs by itself, in tokens that are computed.

    On a grid of rows, that is the width of a row that holds it.
    """
    return length if grid == FLAT else -(-length // grid) * grid


def rows_for(pieces: int, grid: int) -> int:
    """Return how many rows a rectangle has that holds so many pieces."""
    return pieces if grid == FREE else ROWS[bisect_left(ROWS, pieces)]


def padded(pieces: MicroBatch, grid: int) -> Padded:
    """Lay pieces side by side, the short ones filled up with zeros that the mask hides."""
    shape = rows_for(len(pieces), grid), cost_of(max(map(len, pieces)), grid)
    ids = np.zeros(shape, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    mask[len(pieces) :, 0] = 1
    for row, piece in enumerate(pieces):
        ids[row, : len(piece)] = piece
        mask[row, : len(piece)] = 1
    return Padded(ids, mask)


def flat(pieces: MicroBatch) -> Flat:
    """Lay pieces end to end."""
    lengths = np.fromiter(map(len, pieces), np.int32, len(pieces))
    bounds = np.zeros(len(pieces) + 1, dtype=np.int32)
    np.cumsum(lengths, out=bounds[1:])
    ids = np.concatenate([np.asarray(piece, np.int32) for piece in pieces])
    positions = np.arange(len(ids), dtype=np.int32) - np.repeat(bounds[:-1], lengths)
    return Flat(ids, positions, bounds)
