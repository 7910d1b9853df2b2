"""What becomes of records that are no comments, are to be forgotten, or cannot be published."""

import base64
import random
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


def test_an_erasure_follows_its_comment_as_a_tombstone(
    make_stream: Callable[[int], Stream],
) -> None:
    """In the same window, in the next one and after a restart, on verdicts and on flags."""
    stream = make_stream(3)
    comments = [(f"k{n}".encode(), f'{{"id": "k{n}", "text": "{n}"}}'.encode()) for n in range(90)]
    erasures: list[tuple[bytes, bytes | None]] = [(key, None) for key, _ in comments]
    stream.produce((k, v, []) for k, v in comments[:30] + erasures[:30] + comments[30:60])
    with stream.worker(TIDEGATE_INTAKE__MAX_MESSAGES=40) as worker:
        stream.wait_until_judged()
        stream.produce((k, v, []) for k, v in erasures[30:60] + comments[60:])
        stream.wait_until_judged()
        assert worker.stop() == 0
    stream.produce((k, v, [("traceparent", b"00-x")]) for k, v in erasures[60:])
    with stream.worker() as successor:
        stream.wait_until_judged()
        assert successor.stop() == 0

    outcomes = stream.check()
    last = {record.key: record.value for record in outcomes.verdicts}
    assert len(last) == 90
    assert {None} == set(last.values())
    assert sum(flag.value is None for flag in outcomes.flags) == 90


def test_comments_of_an_aborted_transaction_are_never_judged(
    make_stream: Callable[[int], Stream],
) -> None:
    """The worker reads what is committed, and gaps in the offsets do no harm."""
    stream = make_stream(1)
    producer = Producer(
        {"bootstrap.servers": stream.servers, "transactional.id": f"{stream.name}-platform"}
    )
    producer.init_transactions(PATIENCE_S)
    for number in range(20):
        producer.begin_transaction()
        for place in range(10):
            value = f'{{"id": "k{number}", "text": "{number} {place}"}}'
            producer.produce(stream.topics.comments, value, f"k{number}")
        if number % 2:
            producer.flush(PATIENCE_S)
            producer.abort_transaction(PATIENCE_S)
        else:
            producer.commit_transaction(PATIENCE_S)
    stream.produce_comments(range(10))
    with stream.worker() as worker:
        stream.wait_until_judged()
        assert worker.stop() == 0

    outcomes = stream.check()
    assert len(outcomes.verdicts) == 110
    aborted = {f"k{number}" for number in range(11, 20, 2)}
    assert aborted.isdisjoint(payload(verdict)["comment_id"] for verdict in outcomes.verdicts)


@pytest.mark.parametrize("delivery", ["exactly-once", "at-least-once"])
def test_a_record_that_the_broker_refuses_loses_its_payload(
    delivery: str, make_stream: Callable[[int], Stream]
) -> None:
    """The window is committed all the same: the culprit's dead letter has its hash alone."""
    stream = make_stream(1)
    incompressible = base64.b64encode(random.Random(0).randbytes(40_000))  # noqa: S311 - a filler
    stream.produce_comments(range(50))
    stream.produce([(b"large", incompressible, [("h", b"1")])])
    stream.produce_comments(range(50, 100))
    with stream.worker(TIDEGATE_PUBLISH__DELIVERY=delivery, KILL_AT="never") as worker:
        worker.wait_for("partitions assigned")
        stream.wait_until_judged()
        stream.alter(stream.topics.dead_letters, "max.message.bytes", "20000")
        stream.produce([(b"large", incompressible, [("h", b"1")])])
        stream.produce_comments(range(100, 150))
        stream.wait_until_judged()
        assert worker.stop() == 0

    whole, emptied = stream.check(repeats=delivery == "at-least-once").dead_letters
    assert incompressible == whole.value
    assert (emptied.key, emptied.value) == (b"large", None)
    headers = dict(emptied.headers)
    assert headers["tidegate.reason"] == b"value_not_json"
    assert b"MSG_SIZE_TOO_LARGE" in (headers["tidegate.detail"] or b"")
    assert headers["tidegate.source.offset"] == b"101"


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
