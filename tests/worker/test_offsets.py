"""Offsets: one number per partition, after the last record, with its epoch."""

from confluent_kafka import TopicPartition
from hypothesis import given
from hypothesis.strategies import integers, lists, none, tuples

from rig.make import TOPIC, make_record
from worker.offsets import Offsets, next_offsets
from worker.window import Partition


@given(rows=lists(tuples(integers(0, 3), none() | integers(0, 9))))
def test_each_partition_goes_on_after_its_last_record(rows: list[tuple[int, int | None]]) -> None:
    """Gaps are no matter; the epoch is that of the last record, -1 where there is none."""
    records = [
        make_record(3 * n, partition=partition, leader_epoch=epoch)
        for n, (partition, epoch) in enumerate(rows)
    ]

    found = {
        o.partition: (o.offset, -1 if o.leader_epoch is None else o.leader_epoch)
        for o in next_offsets(records)
    }

    last = {record.partition.number: record for record in records}
    assert found == {
        number: (record.offset + 1, record.leader_epoch if record.leader_epoch is not None else -1)
        for number, record in last.items()
    }


def test_what_is_due_is_taken_once() -> None:
    """A later offset of a partition replaces an earlier one."""
    offsets = Offsets()
    offsets.put([TopicPartition(TOPIC, 0, 5), TopicPartition(TOPIC, 1, 7)])
    offsets.put([TopicPartition(TOPIC, 0, 9)])

    assert [(o.partition, o.offset) for o in offsets.take()] == [(0, 9), (1, 7)]
    assert offsets.take() == []


def test_what_was_lost_is_no_longer_ours_to_commit() -> None:
    """The successor may be behind us, and would skip comments."""
    offsets = Offsets()
    offsets.put([TopicPartition(TOPIC, 0, 5), TopicPartition(TOPIC, 1, 7)])

    offsets.drop([Partition(TOPIC, 0)])

    assert [(o.partition, o.offset) for o in offsets.take()] == [(1, 7)]
