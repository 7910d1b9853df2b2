"""What becomes of records that are no comments: byte for byte.

Hostile, aborted, refused and erased ones in bulk are rows M1 to M4 of tests/faults.
"""

from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from rig.checker import payload, source_of
from rig.stream import PATIENCE_S, Stream

pytestmark = pytest.mark.broker

HEADERS = [
    ("a", b"1"),
    ("a", b"1"),
    ("b", None),
    ("c", b"\xff\xfe"),
    ("a", b""),
    ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
]

REFUSED = [
    (b"k1", b"{not json"),
    (b"k2", b'{"id": "k2", "text": "\xff"}'),
    (b"k3", b'{"id": "k3", "text": 7}'),
    (b"k4", b"[]"),
    (b"k5", b""),
    (b"k6", b'{"id": "k6", "text": "' + b"a" * 70_000 + b'"}'),
    (b"k" * 2_000, b'{"id": "k7", "text": "hello"}'),
    (b"\xff\xfe", b'{"id": "k8", "text": "hello"}'),
    (None, b'{"id": "k9", "text": "hello"}'),
    (None, b"neither key nor sense"),
    (None, None),
    (b"k10", b"[" * 60_000),
]


def test_dead_letters_are_what_came_byte_for_byte(make_stream: Callable[[int], Stream]) -> None:
    """Key, value and every header, repeated and null ones too; a held verdict beside each."""
    stream = make_stream(1)
    stream.produce((key, value, HEADERS) for key, value in REFUSED)
    stream.produce([(b"k11", b'{"id": "k11", "text": "hello"}', [("h", b"")] * 101)])
    stream.produce_comments(range(100))
    with stream.worker() as worker:
        stream.wait_until_judged()
        assert worker.stop() == 0

    outcomes = stream.check()
    came = {record.offset: record for record in stream.read(stream.topics.comments)}
    held = [v for v in map(payload, outcomes.verdicts) if v["status"] == "held"]
    assert len(REFUSED) + 1 == len(outcomes.dead_letters)
    for offset, letter in enumerate(outcomes.dead_letters):
        assert (came[offset].key, came[offset].value) == (letter.key, letter.value)
        assert list(came[offset].headers) == list(letter.headers)[: len(came[offset].headers)]
    readable = set(range(1, 12)) - {7}  # into a key as heavy as that of k7 nobody looks
    assert {f"k{number}" for number in readable} == {v["comment_id"] for v in held}
    assert {"review"} == {v["action"] for v in held}


def test_many_oversized_records_in_one_window_stop_nobody(
    make_stream: Callable[[int], Stream],
) -> None:
    """A platform's broker takes larger records than a client's default; none is our end."""
    stream = make_stream(1)
    producer = Producer(
        {
            "bootstrap.servers": stream.servers,
            "message.max.bytes": 30_000_000,
            "compression.type": "lz4",
        }
    )
    for number in range(8):
        value = f'{{"id": "k{number}", "text": "{"a" * 9_000_000}"}}'
        producer.produce(stream.topics.comments, value, f"k{number}")
        producer.flush(PATIENCE_S)
    stream.produce_comments(range(50))
    with stream.worker(TIDEGATE_INTAKE__MAX_WAIT_S=1) as worker:
        stream.wait_until_judged()
        assert worker.stop() == 0

    outcomes = stream.check()
    assert len(outcomes.dead_letters) == 8
    assert set(range(8)) <= {source_of(verdict)[1] for verdict in outcomes.verdicts}
