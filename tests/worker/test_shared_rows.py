"""Rows that pieces share: all of them, none too long, and none that could have been spared."""

from itertools import chain, pairwise

from hypothesis import given
from hypothesis.strategies import integers, lists

from worker.shared_rows import shared_rows

LENGTHS = lists(integers(1, 200), max_size=300)
WIDTH = integers(1, 128)


def rows_of(lengths: list[int], width: int) -> list[list[int]]:
    """Return the lengths of pieces, row by row."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    rows = shared_rows(lengths, order, width)
    assert sorted(chain.from_iterable(rows)) == list(range(len(lengths)))
    return [[lengths[place] for place in row] for row in rows]


@given(lengths=LENGTHS, width=WIDTH)
def test_a_row_is_no_longer_than_the_width_but_for_a_piece_that_is(
    lengths: list[int], width: int
) -> None:
    """Such a piece has the row to itself."""
    for row in rows_of(lengths, width):
        assert sum(row) <= width or len(row) == 1


@given(lengths=LENGTHS, width=WIDTH)
def test_no_two_rows_could_be_one(lengths: list[int], width: int) -> None:
    """A row was begun for a piece that fitted nowhere, and nothing has left the others since."""
    rows = rows_of(lengths, width)

    assert all(a[0] >= b[0] for a, b in pairwise(rows)), "the longest begins"
    for number, row in enumerate(rows):
        assert all(sum(before) + row[0] > width for before in rows[:number])


def test_a_piece_goes_where_it_leaves_the_least() -> None:
    """So that a longer gap stays for a longer piece."""
    assert rows_of([90, 70, 38, 30, 50], 128) == [[90, 38], [70, 50], [30]]
    assert rows_of([60, 60, 60, 60, 8, 8], 128) == [[60, 60, 8], [60, 60, 8]]


def test_a_width_of_nothing_gives_each_piece_its_row() -> None:
    """That is what an engine gets whose rows are not shared."""
    assert rows_of([3, 5, 3], 0) == [[5], [3], [3]]
