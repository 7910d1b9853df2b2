"""Random streams of comments and outcomes: proven as they are, refuted with one fault in them."""

import zlib
from collections.abc import Callable
from random import Random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploy.reconcile.findings import Answer
from rig.contents import Contents, Said, findings_of, honest
from rig.make import make_record, value_of
from worker.window import Record

WHAT = st.sampled_from(["comment", "comment", "comment", "erasure", "broken", "no key", "gap"])


@st.composite
def streams(draw: st.DrawFn) -> Contents:
    """Draw comments of few keys over a few partitions, and publish what they make."""
    drawn = draw(st.lists(st.tuples(WHAT, st.integers(0, 6)), min_size=1, max_size=40))
    partitions = draw(st.integers(1, 3))
    records: list[Record] = []
    for offset, (what, number) in enumerate(drawn):
        name = f"k{number}"
        key, value = name.encode(), value_of(f"comment {offset}", name)
        place = zlib.crc32(key) % partitions
        kinds: dict[str, tuple[bytes | None, bytes | None]] = {
            "comment": (key, value),
            "erasure": (key, None),
            "broken": (key, b"{broken"),
            "no key": (None, value),
        }
        if what in kinds:
            key_, value_ = kinds[what]
            records.append(make_record(offset, value_, key_, partition=place))
    records.sort(key=lambda record: (record.partition.number, record.offset))
    emptied = draw(st.sets(st.integers(0, max(0, len(records) - 1)), max_size=2))
    return honest(records, draw(st.integers(1, 3)), emptied if records else ())


Fault = Callable[[list[Said], int], list[Said]]


def lost(messages: list[Said], at: int) -> list[Said]:
    """Lose one record."""
    return messages[:at] + messages[at + 1 :]


def doubled(messages: list[Said], at: int) -> list[Said]:
    """Publish one record again, later."""
    return [*messages, messages[at]]


def other_key(messages: list[Said], at: int) -> list[Said]:
    """Publish one record under another key."""
    messages[at] = messages[at]._replace(its_key=b"stranger")
    return messages


def other_bytes(messages: list[Said], at: int) -> list[Said]:
    """Publish other bytes; of a tombstone, a verdict that nobody can read."""
    messages[at] = messages[at]._replace(its_value=(messages[at].value() or b"") + b" ")
    return messages


def moved_to_the_front(messages: list[Said], at: int) -> list[Said]:
    """Let one record overtake all others."""
    return [messages[at], *messages[:at], *messages[at + 1 :]]


FAULTS: dict[str, tuple[Fault, ...]] = {
    "verdicts": (lost, doubled, other_key),
    "flags": (lost, doubled, other_key, other_bytes),
    "dead_letters": (lost, doubled, other_key, other_bytes),
}


@settings(deadline=None, max_examples=150)
@given(stream=streams(), batch=st.integers(1, 9), files=st.sampled_from([1, 2, 8]))
def test_an_honest_stream_is_proven(stream: Contents, batch: int, files: int) -> None:
    """However it is cut into batches and spread over files."""
    assert list(findings_of(stream, batch=batch, files=files)) == []


@settings(deadline=None, max_examples=300)
@given(stream=streams(), seed=st.integers(0, 2**32))
def test_one_fault_anywhere_is_never_proven(stream: Contents, seed: int) -> None:
    """A record lost, doubled, under another key, or of other bytes: on whichever topic."""
    random = Random(seed)  # noqa: S311 - a choice of faults
    topics = [topic for topic in FAULTS if getattr(stream, topic)]
    assume(topics)
    topic = random.choice(topics)
    fault = random.choice(FAULTS[topic])
    at = random.randrange(len(getattr(stream, topic)))

    found = findings_of(stream.changed(topic, lambda messages: fault(messages, at)))

    assert Answer.PROVEN is not found.answer(), f"{fault.__name__} on {topic} at {at}"


@settings(deadline=None, max_examples=200)
@given(stream=streams(), seed=st.integers(0, 2**32))
def test_an_outcome_that_overtakes_one_of_its_key_is_refuted(stream: Contents, seed: int) -> None:
    """And one that overtakes others only is not: order is promised by key."""
    assume(len(stream.verdicts) > 1)
    at = Random(seed).randrange(1, len(stream.verdicts))  # noqa: S311 - a choice
    moved = stream.verdicts[at]
    overtaken = [m for m in stream.verdicts[:at] if m.key() == moved.key()]
    # Two tombstones are alike: one that overtakes the other is the other.
    visible = any(m.value() is not None or moved.value() is not None for m in overtaken)

    found = findings_of(stream.changed("verdicts", lambda all_: moved_to_the_front(all_, at)))

    assert (Answer.REFUTED if visible else Answer.PROVEN) is found.answer(), list(found)
