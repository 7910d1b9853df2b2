"""Pieces to rows that they share: best fit decreasing, a classic of bin packing.

Source: D. S. Johnson et al., Worst-case performance bounds for simple one-dimensional packing
algorithms, SIAM Journal on Computing 3 (1974).
"""

from collections import defaultdict
from collections.abc import Sequence


def shared_rows(lengths: Sequence[int], order: Sequence[int], width: int) -> list[list[int]]:
    """Put each piece where the least room is left behind it, or into a row of its own.

    Args:
        lengths: tokens in each piece.
        order: places in `lengths`, longest piece first.
        width: tokens that pieces which share a row have together at most; a longer one is alone.

    Returns:
        The places, row by row.
    """
    rows: list[list[int]] = []
    with_room: defaultdict[int, list[list[int]]] = defaultdict(list)  # for so many tokens
    rooms = 0  # bit n: there is a row with room for n more
    for place in order:
        length = lengths[place]
        fitting = rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1  # the lowest bit that is set
            row = with_room[room].pop()
            if not with_room[room]:
                rooms ^= 1 << room
        else:
            room = max(width, length)
            row = []
            rows.append(row)
        row.append(place)
        with_room[room - length].append(row)
        rooms |= 1 << (room - length)
    return rows
