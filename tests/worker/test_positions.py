"""Nothing that the client hands over again is taken twice."""

from confluent_kafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from worker.positions import Positions

PLACE = ("comments", 0)


@given(st.lists(st.integers(0, 30)))
def test_each_offset_passes_once_and_in_order_from_where_it_was_begun(offsets: list[int]) -> None:
    """Whatever comes: what is new is never held up by it."""
    positions = Positions()
    positions.begin([TopicPartition(*PLACE, 10)])

    passed = [offset for offset in offsets if positions.passes(PLACE, offset)]

    assert passed == sorted(set(passed))
    due = [offset for offset in offsets if offset >= 10]
    assert max(passed, default=None) == max(due, default=None)
    assert passed[:1] == due[:1]


def test_nothing_passes_of_a_partition_that_is_not_ours() -> None:
    """Never was, or is no more; one that comes back begins where it is told."""
    positions = Positions()
    assert not positions.passes(PLACE, 5)

    positions.begin([TopicPartition(*PLACE, 5)])
    assert positions.passes(PLACE, 5)
    positions.forget([PLACE])
    assert not positions.passes(PLACE, 6)

    positions.begin([TopicPartition(*PLACE, 3)])
    assert positions.passes(PLACE, 3)
    positions.clear()
    assert not positions.passes(PLACE, 4)
