"""What a group's metadata say: the client's own, and what it may come to say."""

from contextlib import closing

import pytest
from confluent_kafka import Consumer

from rig.metadata import metadata_of
from schemas.errors import ClusterError
from worker.membership import is_joined, member_of


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (metadata_of(0, "a"), b"a"),
        (metadata_of(70_000, "a"), b"a"),
        (metadata_of(-1, "a"), None),
        (metadata_of(3, ""), None),
        (metadata_of(-1, ""), None),
    ],
)
def test_a_membership_has_a_generation_and_a_member(
    metadata: bytes, expected: bytes | None
) -> None:
    """Without both a broker does not look whose the offsets are."""
    assert member_of(metadata) == expected


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (metadata_of(1, "a"), True),
        (metadata_of(0, "a"), False),  # as a client keeps it that was put out
        (metadata_of(-1, ""), False),
        (metadata_of(1, ""), False),
    ],
)
def test_a_member_is_in_from_its_first_epoch_on(metadata: bytes, *, expected: bool) -> None:
    """With or without partitions."""
    assert is_joined(metadata) is expected


def test_the_clients_own_metadata_are_read() -> None:
    """Of a consumer that never joined."""
    properties = {"bootstrap.servers": "127.0.0.1:1", "group.id": "a group", "log_level": 0}
    with closing(Consumer(properties)) as consumer:
        assert member_of(consumer.consumer_group_metadata()) is None


def test_another_form_is_refused() -> None:
    """Rather than sent unread."""
    with pytest.raises(ClusterError, match="another form"):
        member_of(b"CGMDv3:\0\0\0\0g\0a\0\1")
