"""The checker itself: every broken promise is caught, and an honest run is not."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from rig.checker import Outcomes, payload, violations
from rig.make import make_judged, make_record, value_of
from schemas.dead_letter import HEADER_PREFIX
from worker.settings import TopicSettings
from worker.window import Partition, Record

TOPICS = TopicSettings()

COMMENTS = [
    *(
        make_record(n, value_of(f"comment {n}", f"k{n % 5}"), f"k{n % 5}".encode())
        for n in range(60)
    ),
    make_record(60, b"{broken", b"k0", headers=[("a", b"1"), ("a", None)]),
    make_record(61, b"no key, no sense", None),
    make_record(62, None, b"k1"),
    *(make_record(n, value_of(f"comment {n}", "k1"), b"k1") for n in range(63, 70)),
]


def honest() -> Outcomes:
    """Return what an honest worker publishes of the comments."""
    by_topic: dict[str, list[Record]] = {
        name: [] for name in (TOPICS.verdicts, TOPICS.flags, TOPICS.dead_letters)
    }
    for outcome in make_judged(COMMENTS).outcomes:
        for message in outcome.messages:
            found = by_topic.get(message.topic)
            if found is None:
                continue  # a tombstone on `feedback`, which no outcome is read from
            place = Partition(message.topic, 0)
            found.append(
                Record(place, len(found), None, 0, message.key, message.value, message.headers)
            )
    return Outcomes(*by_topic.values())


def with_payload(record: Record, **changes: object) -> Record:
    """Return a verdict that says something else."""
    return record._replace(value=json.dumps(payload(record) | changes).encode())


def swapped(outcomes: Outcomes) -> Outcomes:
    """Put two verdicts of one key into the other order."""
    verdicts = list(outcomes.verdicts)
    verdicts[0], verdicts[5] = verdicts[5], verdicts[0]
    return replace(outcomes, verdicts=verdicts)


def shifted(outcomes: Outcomes) -> Outcomes:
    """Join scores to the next comment, as an off-by-one would."""
    verdicts = list(outcomes.verdicts)
    for n in range(5):
        scores = payload(outcomes.verdicts[n + 1])["scores"]
        verdicts[n] = with_payload(verdicts[n], scores=scores)
    return replace(outcomes, verdicts=verdicts)


def reencoded(outcomes: Outcomes) -> Outcomes:
    """Write a dead letter anew, as it was understood."""
    first, *rest = outcomes.dead_letters
    return replace(outcomes, dead_letters=[first._replace(value=b'"{broken"'), *rest])


def emptied(outcomes: Outcomes) -> Outcomes:
    """Leave a dead letter's payload out, as if the broker had refused it, and name another's."""
    first, *rest = outcomes.dead_letters
    detail = f"MSG_SIZE_TOO_LARGE; value of 7 bytes, sha256 {hashlib.sha256(b'other').hexdigest()}"
    ours = dict(first.headers) | {f"{HEADER_PREFIX}detail": detail.encode()}
    headers = [header for header in ours.items() if header[0].startswith(HEADER_PREFIX)]
    return replace(outcomes, dead_letters=[first._replace(value=None, headers=headers), *rest])


def one_header_less(outcomes: Outcomes) -> Outcomes:
    """Keep headers in a mapping, where repeated keys are one."""
    first, *rest = outcomes.dead_letters
    headers = list(dict(first.headers).items())
    return replace(outcomes, dead_letters=[first._replace(headers=headers), *rest])


def without_tombstone(topic: str) -> Callable[[Outcomes], Outcomes]:
    """Make a loss of the erasure's tombstone on a topic."""

    def lose(outcomes: Outcomes) -> Outcomes:
        kept = [r for r in getattr(outcomes, topic) if r.value is not None]
        return replace(outcomes, **{topic: kept})

    return lose


def early_tombstone(outcomes: Outcomes) -> Outcomes:
    """Let an erasure overtake the comments that it erases."""
    stones = [r for r in outcomes.verdicts if r.value is None]
    rest = [r for r in outcomes.verdicts if r.value is not None]
    return replace(outcomes, verdicts=[*stones, *rest])


BUGS: dict[str, tuple[str, Callable[[Outcomes], Outcomes]]] = {
    "a verdict lost": ("I1", lambda o: replace(o, verdicts=o.verdicts[1:])),
    "the last verdicts lost": ("I1", lambda o: replace(o, verdicts=o.verdicts[:-3])),
    "a verdict twice": ("I1", lambda o: replace(o, verdicts=[*o.verdicts, o.verdicts[-1]])),
    "a dead letter lost": ("I1", lambda o: replace(o, dead_letters=o.dead_letters[1:])),
    "a dead letter twice": ("I1", lambda o: replace(o, dead_letters=[*o.dead_letters] * 2)),
    "a held verdict lost": (
        "I5",
        lambda o: replace(
            o, verdicts=[v for v in o.verdicts if payload(v).get("status") != "held"]
        ),
    ),
    "a verdict of no comment": (
        "I1",
        lambda o: replace(
            o,
            verdicts=[
                *o.verdicts,
                with_payload(
                    o.verdicts[0],
                    source={"topic": "comments", "partition": 0, "offset": 999, "timestamp": 0},
                ),
            ],
        ),
    ),
    "an id of another place": (
        "I2",
        lambda o: replace(
            o, verdicts=[with_payload(o.verdicts[0], verdict_id="x"), *o.verdicts[1:]]
        ),
    ),
    "an order swapped": ("I3", swapped),
    "a tombstone that overtakes": ("I3", early_tombstone),
    "a tombstone lost on verdicts": ("I1", without_tombstone("verdicts")),
    "a tombstone lost on flags": ("I1", without_tombstone("flags")),
    "a flag lost": ("I5", lambda o: replace(o, flags=o.flags[1:])),
    "a flag twice": ("I5", lambda o: replace(o, flags=[*o.flags, o.flags[0]])),
    "a dead letter re-encoded": ("I6", reencoded),
    "a dead letter emptied": ("I6", emptied),
    "a repeated header lost": ("I6", one_header_less),
    "scores shifted by one": ("I7", shifted),
}


def test_an_honest_run_breaks_no_promise() -> None:
    """There are flags, dead letters and tombstones in it, so that there is something to break."""
    outcomes = honest()

    assert violations(COMMENTS, outcomes) == []
    assert (len(outcomes.verdicts), len(outcomes.dead_letters)) == (69, 2)
    assert len(outcomes.flags) >= 3


@pytest.mark.parametrize("bug", BUGS)
def test_every_seeded_bug_is_caught(bug: str) -> None:
    """By the promise that it breaks."""
    promise, break_it = BUGS[bug]

    found = violations(COMMENTS, break_it(honest()))

    assert any(words.startswith(promise) for words in found), found


def test_repeats_with_a_known_id_are_dropped() -> None:
    """As a consumer of an at-least-once stream does; tombstones have none, and may repeat."""
    outcomes = honest()
    repeated = Outcomes(
        [*outcomes.verdicts[:10], *outcomes.verdicts],
        [*outcomes.flags[:1], *outcomes.flags],
        [*outcomes.dead_letters, *outcomes.dead_letters],
    )

    assert violations(COMMENTS, repeated, repeats=True) == []
    assert violations(COMMENTS, repeated) != []


@pytest.mark.parametrize("late", ["verdicts", "flags"])
def test_a_flag_of_another_try_than_its_verdict_names_another_time(late: str) -> None:
    """At least once a worker that is killed may have sent one of the two; else both are one."""
    outcomes = honest()
    again = [
        with_payload(record, scored_at="later") if record.value else record  # tombstones stay
        for record in getattr(outcomes, late)
    ]
    outcomes = replace(outcomes, **{late: again})

    assert violations(COMMENTS, outcomes, repeats=True) == []
    assert any(words.startswith("I5") for words in violations(COMMENTS, outcomes))


def test_a_flag_that_says_another_thing_than_its_verdict_is_caught_among_repeats_too() -> None:
    """Only the time may differ."""
    outcomes = honest()
    flags = [with_payload(outcomes.flags[0], action="allow"), *outcomes.flags[1:]]

    found = violations(COMMENTS, replace(outcomes, flags=flags), repeats=True)

    assert any(words.startswith("I5") for words in found)
