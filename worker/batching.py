"""How a micro-batch lies in memory, and what it costs there.

Some engines compute rectangles: every row is filled up to the longest. Some of those build a
kernel for each rectangle that they meet, so rectangles lie on a grid: their widths are its
multiples, and their rows as many as 1, 2, 3, 4, 6, 8, 12, 16 and so on. There pieces may share a
row, if the engine keeps them apart: fewer shapes are met then, and little is filled up. Others
compute tokens end to end, with no padding at all. What a micro-batch costs follows from that.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

ROWS: Final = sorted({factor << power for factor in (1, 3) for power in range(20)})  # of a grid's

Piece = Sequence[int]  # token ids, [CLS] and [SEP] included
Row = Sequence[Piece]  # end to end
MicroBatch = Sequence[Row]  # what the device gets at once


class Layout(NamedTuple):
    """How an engine wants its micro-batches.

    `grid` is of its rectangles, in tokens: widths are its multiples. At 1 there may be as many rows
    as one likes, and at 0 there are no rectangles. `shares` says whether pieces may share a row.
    """

    grid: int
    shares: bool = False


FLAT: Final = Layout(0, shares=True)  # tokens end to end, all in one row
FREE: Final = Layout(1)  # rectangles of any width and any rows


class Padded(NamedTuple):
    """Pieces side by side, each a row. Both are [rows, width] int64.

    `mask` is 1 where there is a token. Rows behind the last piece are there for the grid's sake:
    their mask has a 1 as well, at the first place, since attention to nothing is no number.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]


class Shared(NamedTuple):
    """Pieces in rows that they share, and where to find each. Both are int32.

    `rows` is [3, rows, width]: ids; positions, which start at 0 in each piece; and segments, a
    piece's number in the micro-batch from 1, 0 for what fills up. `pieces` is [2, pieces, length
    of the longest]: places of a piece's tokens when rows are laid end to end, and a mask of 1
    where there is one. For the grid's sake there may be pieces behind the last, one token each.
    """

    rows: NDArray[np.int32]
    pieces: NDArray[np.int32]


class Flat(NamedTuple):
    """Pieces end to end, nothing between them. All three are int32.

    `ids` and `positions` are [tokens]; positions start at 0 in each piece. `bounds` is
    [pieces + 1]: piece i is tokens bounds[i] to bounds[i + 1].
    """

    ids: NDArray[np.int32]
    positions: NDArray[np.int32]
    bounds: NDArray[np.int32]


def width_for(tokens: int, layout: Layout) -> int:
    """Return how wide a row is that holds so many tokens; what a piece costs by itself, too."""
    return tokens if layout == FLAT else -(-tokens // layout.grid) * layout.grid


def rows_for(count: int, layout: Layout) -> int:
    """Return how many rows a rectangle has that holds so many of them."""
    return count if layout == FREE else ROWS[bisect_left(ROWS, count)]


def padded(batch: MicroBatch, layout: Layout) -> Padded:
    """Lay rows of one piece each side by side, short ones filled up with zeros that a mask hides.

    Raises:
        ValueError: pieces share a row.
    """
    pieces = [piece for (piece,) in batch]
    shape = rows_for(len(pieces), layout), width_for(max(map(len, pieces)), layout)
    ids = np.zeros(shape, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    mask[len(pieces) :, 0] = 1
    for row, piece in enumerate(pieces):
        ids[row, : len(piece)] = piece
        mask[row, : len(piece)] = 1
    return Padded(ids, mask)


def shared(batch: MicroBatch, layout: Layout) -> Shared:
    """Lay rows side by side, the short ones filled up with zeros."""
    found = flat(list(chain.from_iterable(batch)))
    lengths, in_row = np.diff(found.bounds), [sum(map(len, row)) for row in batch]
    width, longest = width_for(max(in_row), layout), width_for(int(lengths.max()), layout)
    starts = np.arange(len(batch)) * width - np.cumsum([0, *in_row[:-1]])
    places = np.arange(len(found.ids)) + np.repeat(starts, in_row)  # of tokens
    numbers = np.repeat(np.arange(len(lengths)), lengths)  # of their pieces

    rows = np.zeros((3, rows_for(len(batch), layout), width), dtype=np.int32)
    rows.reshape(3, -1)[:, places] = found.ids, found.positions, numbers + 1
    pieces = np.zeros((2, rows_for(len(lengths), layout), longest), dtype=np.int32)
    pieces[:, numbers, found.positions] = places, np.ones_like(places)
    pieces[1, len(lengths) :, 0] = 1
    return Shared(rows, pieces)


def flat(pieces: Sequence[Piece]) -> Flat:
    """Lay pieces end to end."""
    lengths = np.fromiter(map(len, pieces), np.int32, len(pieces))
    bounds = np.zeros(len(pieces) + 1, dtype=np.int32)
    np.cumsum(lengths, out=bounds[1:])
    ids = np.concatenate([np.asarray(piece, np.int32) for piece in pieces])
    positions = np.arange(len(ids), dtype=np.int32) - np.repeat(bounds[:-1], lengths)
    return Flat(ids, positions, bounds)
