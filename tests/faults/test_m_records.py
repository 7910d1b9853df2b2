"""M1 to M4: records that are hostile, aborted, refused, or to be forgotten."""

import base64
import signal
from collections.abc import Callable, Iterable
from time import process_time

import pytest
from confluent_kafka import Producer

from faults.report import Row
from rig.checker import payload
from rig.hostile import hostile
from rig.make import make_fetched, make_record
from rig.stream import PATIENCE_S, Stream, eventually
from rig.stub import stub_tokenise
from worker.prepare import Prepare
from worker.settings import SHIPPED_BUNDLE, LimitSettings
from worker.tokenise import BundleTokeniser, Tokeniser

MakeStream = Callable[[int], Stream]

HOSTILE = 2_000
MOST_CPU_S = 0.05


def cpu_seconds(row: Row, tokenise: Tokeniser) -> list[float]:
    """Prepare the row's hostile payloads one by one, and return what each cost, least first."""
    prepare = Prepare(LimitSettings(), tokenise)
    spent = []
    for number, (_, key, value, headers) in enumerate(hostile(row.random, HOSTILE)):
        window = make_fetched([make_record(number, value, key, headers=headers)])
        start = process_time()
        prepared = prepare(window)
        spent.append(process_time() - start)
        assert len(prepared.entries) == 1
    return sorted(spent)


def platform(stream: Stream) -> Producer:
    """Return a transactional producer of comments, as a platform that publishes them has one."""
    ours = {"bootstrap.servers": stream.servers, "transactional.id": f"{stream.name}-platform"}
    producer = Producer(ours | {"partitioner": "murmur2_random"})
    producer.init_transactions(PATIENCE_S)
    return producer


@pytest.mark.row("M1")
def test_m1_no_hostile_payload_takes_more_than_50_ms_to_decode(row: Row) -> None:
    """Two thousand of all kinds; to cut the longest into tokens takes the most, and is measured."""
    tokenise = BundleTokeniser(SHIPPED_BUNDLE / "tokenizer.json", 128, 32, 8)
    decoding, preparing = cpu_seconds(row, stub_tokenise), cpu_seconds(row, tokenise)

    row.measured(decode_p99_s=decoding[-20], decode_worst_s=decoding[-1])
    row.measured(prepare_p99_s=preparing[-20], prepare_worst_s=preparing[-1])
    assert decoding[-1] <= MOST_CPU_S
    row.bit(HOSTILE)


@pytest.mark.row("M1")
@pytest.mark.broker
def test_m1_hostile_payloads_among_comments_end_no_worker(
    row: Row, make_stream: MakeStream
) -> None:
    """Each is a verdict or a dead letter with its own bytes; `reconcile` proves it, too."""
    stream = make_stream(3)
    stream.produce_comments(range(10_000), keys=1_000)
    stream.produce((k, v, list(h)) for _, k, v, h in hostile(row.random, HOSTILE))
    stream.produce_comments(range(10_000, 20_000), keys=1_000)
    with stream.worker(TIDEGATE_INTAKE__MAX_MESSAGES=500) as worker:
        stream.wait_until_judged()
        assert worker.stop() == 0

    outcomes = stream.check()
    row.judged(outcomes)
    row.bit(len(outcomes.dead_letters))
    assert HOSTILE / 2 < len(outcomes.dead_letters) < HOSTILE
    stream.prove()


@pytest.mark.row("M2")
@pytest.mark.broker
def test_m2_comments_of_an_aborted_transaction_are_never_judged(
    row: Row, make_stream: MakeStream
) -> None:
    """Not even when they stand in the log among those that are."""
    stream = make_stream(2)
    producer = platform(stream)
    aborted = set()
    for number in range(40):
        producer.begin_transaction()
        for place in range(50):
            value = f'{{"id": "t{number}", "text": "{number} {place}"}}'
            producer.produce(stream.topics.comments, value, f"t{number}")
        if row.random.random() < 0.5:
            producer.commit_transaction(PATIENCE_S)
        else:
            producer.flush(PATIENCE_S)
            producer.abort_transaction(PATIENCE_S)
            aborted.add(f"t{number}")
    stream.produce_comments(range(1_000))
    with stream.worker() as worker:
        stream.wait_until_judged()
        assert worker.stop() == 0

    outcomes = stream.check()
    row.judged(outcomes)
    row.bit(len(aborted))
    assert len(outcomes.verdicts) == 1_000 + 50 * (40 - len(aborted))
    assert aborted.isdisjoint(payload(verdict)["comment_id"] for verdict in outcomes.verdicts)
    stream.prove()


@pytest.mark.row("M2")
@pytest.mark.broker
def test_m2_comments_behind_a_transaction_that_hangs_wait_and_are_counted(
    row: Row, make_stream: MakeStream
) -> None:
    """They are no lag: that is counted to where the log is stable, and stands still, too."""
    stream = make_stream(1)
    producer = platform(stream)
    producer.begin_transaction()
    producer.produce(stream.topics.comments, '{"id": "t", "text": "a"}', "t")
    producer.flush(PATIENCE_S)
    stream.produce_comments(range(1_000))
    with stream.worker() as worker:
        worker.wait_for("partitions assigned")
        eventually(lambda: worker.figure("tidegate_unstable_offsets") == 1_001, stream.logs)
        assert worker.figure("tidegate_consumer_lag") == 0
        assert worker.events("window") == []
        row.bit()
        producer.commit_transaction(PATIENCE_S)
        stream.produce_comments([1_000])  # so that no marker of a transaction is the log's last
        eventually(lambda: worker.figure("tidegate_unstable_offsets") == 0, stream.logs)
        stream.wait_until_judged()
        assert worker.stop() == 0

    row.judged(stream.check())


@pytest.mark.row("M2")
@pytest.mark.broker
def test_m2_gaps_in_compacted_comments_do_no_harm(row: Row, make_stream: MakeStream) -> None:
    """Offsets go on behind what is left; what compaction took before the worker came is gone."""
    stream = make_stream(1)
    compact(stream, stream.topics.comments)
    stream.produce_comments(range(5_000), keys=100)
    stream.produce_comments(range(5_000, 5_100), keys=100)
    wait_until_compacted(stream, stream.topics.comments, most=1_000)
    stream.alter(stream.topics.comments, "cleanup.policy", "delete")  # the rest is to stay
    with stream.worker() as worker:
        stream.wait_until_judged()
        assert worker.stop() == 0

    outcomes = stream.check()
    row.judged(outcomes)
    row.bit(5_100 - len(outcomes.verdicts))
    assert 100 <= len(outcomes.verdicts) <= 1_000


@pytest.mark.row("M3")
@pytest.mark.broker
@pytest.mark.parametrize(
    "delivery", ["exactly-once", pytest.param("at-least-once", marks=pytest.mark.slow_faults)]
)
def test_m3_a_record_that_the_broker_refuses_loses_its_payload(
    delivery: str, row: Row, make_stream: MakeStream
) -> None:
    """The topic's limit is lowered meanwhile: the culprit is found, its window is committed."""
    stream = make_stream(1)
    filler = base64.b64encode(row.random.randbytes(40_000))  # which nothing compresses
    large = [(b"large", filler, [("h", b"1")])]
    with stream.worker(TIDEGATE_PUBLISH__DELIVERY=delivery) as worker:
        stream.produce_comments(range(1_000))
        stream.produce(large)
        stream.wait_until_judged()
        stream.alter(stream.topics.dead_letters, "max.message.bytes", "20000")
        stream.produce(large)
        stream.produce_comments(range(1_000, 2_000))
        stream.wait_until_judged()
        aborts = len(worker.events("producer rebuilt"))
        assert worker.stop() == 0

    outcomes = stream.check(repeats=delivery == "at-least-once")
    row.judged(outcomes)
    row.bit()
    whole, emptied = outcomes.dead_letters
    assert whole.value == filler
    assert (emptied.key, emptied.value) == (b"large", None)
    assert b"MSG_SIZE_TOO_LARGE" in (dict(emptied.headers)["tidegate.detail"] or b"")
    assert aborts <= 3


@pytest.mark.row("M4")
@pytest.mark.broker
def test_m4_after_compaction_nothing_of_an_erased_comment_is_left(
    row: Row, make_stream: MakeStream
) -> None:
    """An erasure in its comment's window, in a later one, after a kill; and one that came before.

    The comment that comes after its erasure is a new one: it is judged, and stays.
    """
    stream = make_stream(2)
    whens = ("same", "before", "killed", "later", "again")
    keys = {when: [f"{when}{n}".encode() for n in range(100)] for when in whens}
    stream.produce([*comments(keys["same"]), *erasures(keys["same"]), *erasures(keys["before"])])
    stream.produce([*comments(keys["before"]), *comments(keys["killed"]), *comments(keys["later"])])
    with stream.worker(KILL_AT="half_produced") as killed:
        assert killed.ended() == -signal.SIGKILL
        row.bit()
    stream.produce(erasures(keys["killed"]))
    with stream.worker() as worker:
        stream.wait_until_judged()
        stream.produce([*erasures(keys["later"]), *comments(keys["again"])])
        stream.wait_until_judged()
        assert worker.stop() == 0
    row.judged(stream.check())
    stream.prove()

    for topic in (stream.topics.verdicts, stream.topics.flags):
        compact(stream, topic)
    # What follows rolls the segments, so that all before it is compacted.
    with stream.worker() as last:
        stream.produce_comments(range(2_000), keys=20)
        stream.wait_until_judged()
        assert last.stop() == 0
    erased = {*keys["same"], *keys["killed"], *keys["later"]}
    for topic in (stream.topics.verdicts, stream.topics.flags):
        wait_until_gone(stream, topic, erased)
    assert {*keys["before"], *keys["again"]} <= with_values(stream, stream.topics.verdicts)
    row.bit(len(erased))


def comments(keys: Iterable[bytes]) -> list[tuple[bytes, bytes | None, object]]:
    """Return a comment under each key."""
    return [(k, b'{"id": "%s", "text": "of %s"}' % (k, k), []) for k in keys]


def erasures(keys: Iterable[bytes]) -> list[tuple[bytes, bytes | None, object]]:
    """Return an erasure of each key."""
    return [(key, None, []) for key in keys]


def with_values(stream: Stream, topic: str) -> set[bytes]:
    """Return the keys of which a topic holds more than tombstones."""
    return {r.key for r in stream.read(topic) if r.key is not None and r.value is not None}


def compact(stream: Stream, topic: str) -> None:
    """Have a topic compacted as soon as its segments can roll, which is at once."""
    for name, value in {
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.0",
        "max.compaction.lag.ms": "1",
        "segment.ms": "1",
    }.items():
        stream.alter(topic, name, value)


def wait_until_gone(stream: Stream, topic: str, erased: set[bytes]) -> None:
    """Wait until nothing but tombstones is left of these keys."""
    eventually(
        lambda: erased.isdisjoint(with_values(stream, topic)),
        lambda: f"{topic} still holds {len(erased & with_values(stream, topic))} of them",
        tick_s=0.5,
    )


def wait_until_compacted(stream: Stream, topic: str, most: int) -> None:
    """Wait until so few records are left of a topic."""
    eventually(
        lambda: len(stream.read(topic)) <= most,
        lambda: f"{len(stream.read(topic))} records are left",
        tick_s=0.5,
    )
