"""What intake makes of a message that the client itself stumbles over."""

from typing import cast

from confluent_kafka import Message

from worker.intake import _record
from worker.window import Partition


class _MessageWithABrokenHeader:
    """Fails as the client does on a header name that is no UTF-8."""

    def topic(self) -> str:
        return "comments"

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 7

    def leader_epoch(self) -> int:
        return 1

    def timestamp(self) -> tuple[int, int]:
        return (1, 1_795_000_000_000)

    def key(self) -> bytes:
        return b"c1"

    def value(self) -> bytes:
        return b"{}"

    def headers(self) -> None:
        raise SystemError("returned a result with an exception set")


def test_a_header_name_that_is_no_utf8_does_not_end_the_worker() -> None:
    """The record keeps its place, key and value; that its headers are left out is noted."""
    record = _record(cast("Message", _MessageWithABrokenHeader()))

    assert (record.partition, record.offset) == (Partition("comments", 3), 7)
    assert record.leader_epoch == 1  # goes with the offset: a log that was cut is seen by it
    assert (record.key, record.value, list(record.headers)) == (b"c1", b"{}", [])
    assert not record.headers_readable
