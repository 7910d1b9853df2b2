"""The checker: reads only Kafka, and says how the outcomes break what tidegate promises.

    I1  each comment appears exactly once among verdicts, dead letters and tombstones
    I2  no verdict's id twice, and each is the one that its place gives it
    I3  per key, outcomes come in the order of the input
    I5  each flag has its verdict, and each verdict that asks for an action its flag
    I6  a dead letter holds the bytes of its record
    I7  probabilities are those of the comment's own text, by the stub

I4, on committed offsets, is asked of the group itself (`Stream.committed`).
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from rig.stub import stub_manifest, stub_scores
from schemas.dead_letter import HEADER_PREFIX
from schemas.labels import LABELS
from schemas.verdict import verdict_id
from schemas.wire import decode_comment
from worker.padding import without_padding
from worker.settings import LimitSettings
from worker.window import Partition, Record

Place = tuple[int, int]  # partition and offset in the topic of comments

MOST_SHOWN = 5
LONGEST = LimitSettings().characters


@dataclass(frozen=True)
class Outcomes:
    """All that a group of workers published, each topic in the order of its partitions."""

    verdicts: Sequence[Record] = field(default=())
    flags: Sequence[Record] = field(default=())
    dead_letters: Sequence[Record] = field(default=())


def first_of_repeats(outcomes: Outcomes) -> Outcomes:
    """Drop repeats with a known id, as a consumer of an at-least-once stream does."""
    return Outcomes(*map(_first, (outcomes.verdicts, outcomes.flags, outcomes.dead_letters)))


def violations(
    comments: Sequence[Record], outcomes: Outcomes, *, repeats: bool = False
) -> list[str]:
    """Return every broken promise, in words that hold positions and no text.

    Args:
        comments: that came in.
        outcomes: of them, read to the end.
        repeats: they may occur, as at least once: then they are dropped first, as a consumer does,
            and a flag may be of another try than its verdict, and name another time.
    """
    if repeats:
        outcomes = first_of_repeats(outcomes)
    return [
        *_each_has_one_outcome(comments, outcomes),
        *_ids_are_their_own(outcomes.verdicts),
        *_keys_keep_their_order(comments, outcomes),
        *_flags_match_verdicts(outcomes, timed=not repeats),
        *_dead_letters_hold_their_record(comments, outcomes.dead_letters),
        *_scores_are_their_own(comments, outcomes.verdicts),
    ]


def source_of(verdict: Record) -> Place:
    """Return the place of the comment that a verdict speaks of."""
    source = payload(verdict)["source"]
    return source["partition"], source["offset"]


def source_of_letter(letter: Record) -> Place:
    """Return the place of the record that a dead letter was."""
    found = dict(letter.headers)
    number, offset = (found[f"{HEADER_PREFIX}source.{name}"] for name in ("partition", "offset"))
    return int(number or b"-1"), int(offset or b"-1")


def payload(record: Record) -> dict[str, Any]:
    """Read the JSON of a verdict or a flag."""
    found: dict[str, Any] = orjson.loads(record.value or b"{}")
    return found


def _place(record: Record) -> Place:
    return record.partition.number, record.offset


def _first(records: Sequence[Record]) -> list[Record]:
    seen: set[Any] = set()
    kept = []
    for record in records:
        if record.value is None and not any(n.startswith(HEADER_PREFIX) for n, _ in record.headers):
            kept.append(record)
            continue
        is_letter = any(name.startswith(HEADER_PREFIX) for name, _ in record.headers)
        identity = source_of_letter(record) if is_letter else payload(record)["verdict_id"]
        if identity not in seen:
            seen.add(identity)
            kept.append(record)
    return kept


def _some(promise: str, places: Iterable[Any]) -> Iterator[str]:
    found = sorted(places)
    if found:
        yield f"{promise}: {len(found)} places, such as {found[:MOST_SHOWN]}"


def _each_has_one_outcome(comments: Sequence[Record], outcomes: Outcomes) -> Iterator[str]:
    judged = Counter(source_of(v) for v in outcomes.verdicts if v.value is not None)
    dead = Counter(source_of_letter(letter) for letter in outcomes.dead_letters)
    held = {source_of(v) for v in outcomes.verdicts if payload(v).get("status") == "held"}
    asked = {_place(r) for r in comments if r.value is not None or r.key is None}
    yield from _some("I1 without an outcome", asked - judged.keys() - dead.keys())
    yield from _some(
        "I1 judged twice", (p for p, n in (judged + dead).items() if n > 1 + (p in held))
    )
    yield from _some("I1 out of nowhere", (judged.keys() | dead.keys()) - asked)
    yield from _some("I1 held without a dead letter", held - dead.keys())
    yield from _some("I1 scored and dead", (judged.keys() - held) & dead.keys())
    erased = Counter(r.key for r in comments if r.value is None and r.key is not None)
    for name, records in (("verdicts", outcomes.verdicts), ("flags", outcomes.flags)):
        buried = Counter(r.key for r in records if r.value is None)
        if buried != erased:
            number, expected = buried.total(), erased.total()
            yield f"I1 tombstones on {name}: {number}, expected {expected} under the same keys"


def _ids_are_their_own(verdicts: Sequence[Record]) -> Iterator[str]:
    found = [payload(v) for v in verdicts if v.value is not None]
    ids = Counter(v["verdict_id"] for v in found)
    yield from _some("I2 an id twice", (identity for identity, n in ids.items() if n > 1))
    version = stub_manifest().version
    for verdict in found:
        topic, number, offset = (verdict["source"][n] for n in ("topic", "partition", "offset"))
        if verdict["verdict_id"] != str(verdict_id(topic, number, offset, version)):
            yield f"I2 another id than its place gives it: {(number, offset)}"


def _keys_keep_their_order(comments: Sequence[Record], outcomes: Outcomes) -> Iterator[str]:
    """Compare, key by key, what came out with what went in; None stands for a tombstone."""
    expected: dict[bytes | None, list[int | None]] = defaultdict(list)
    found: dict[bytes | None, list[int | None]] = defaultdict(list)
    dead = {source_of_letter(letter) for letter in outcomes.dead_letters}
    for record in comments:
        if record.key is not None and _place(record) not in dead:
            expected[record.key].append(record.offset if record.value is not None else None)
    for verdict in outcomes.verdicts:
        if verdict.value is None:
            found[verdict.key].append(None)
        elif source_of(verdict) not in dead:
            found[verdict.key].append(source_of(verdict)[1])
    wrong = [key for key in expected.keys() | found.keys() if expected[key] != found[key]]
    if wrong:
        yield f"I3 order: {len(wrong)} keys have other outcomes than their input, or in other order"


def _flags_match_verdicts(outcomes: Outcomes, *, timed: bool) -> Iterator[str]:
    def said(record: Record) -> bytes | None:
        if timed or record.value is None:
            return record.value
        return orjson.dumps({k: v for k, v in payload(record).items() if k != "scored_at"})

    asked = {said(v) for v in outcomes.verdicts if payload(v).get("action", "allow") != "allow"}
    found = Counter(said(f) for f in outcomes.flags if f.value is not None)
    if asked != found.keys() or found.total() != len(found):
        yield f"I5 {len(asked)} verdicts ask for an action, {found.total()} flags were raised"


def _dead_letters_hold_their_record(
    comments: Sequence[Record], letters: Sequence[Record]
) -> Iterator[str]:
    by_place = {_place(record): record for record in comments}
    for letter in letters:
        place = source_of_letter(letter)
        record = by_place.get(place)
        if record is None:
            continue  # I1 says so
        own = [h for h in letter.headers if not h[0].startswith(HEADER_PREFIX)]
        digest = hashlib.sha256(record.value or b"").hexdigest()
        detail = dict(letter.headers)[f"{HEADER_PREFIX}detail"] or b""
        refused = f"sha256 {digest}".encode() in detail  # by the broker: what came is left out
        came = (record.key, None, []) if refused else (record.key, record.value, [*record.headers])
        if (letter.key, letter.value, own) != came:
            yield f"I6 a dead letter is not what came: {place}"


def _scores_are_their_own(comments: Sequence[Record], verdicts: Sequence[Record]) -> Iterator[str]:
    by_place = {_place(record): record for record in comments}
    wrong = []
    for verdict in verdicts:
        found = payload(verdict)
        if found.get("status") != "scored" or source_of(verdict) not in by_place:
            continue
        text = _judged_text(by_place[source_of(verdict)].value or b"")
        if found["scores"] != dict(zip(LABELS, stub_scores(text), strict=True)):
            wrong.append(source_of(verdict))
    yield from _some("I7 another comment's scores", wrong)


def _judged_text(value: bytes) -> str:
    """Return what a worker judges of a comment: a very long text's head and tail."""
    try:
        text: str = orjson.loads(value)["text"]
    except orjson.JSONDecodeError:  # half an emoji stands in it
        text = decode_comment(value).text
    text = without_padding(text) if len(text) > LONGEST else text
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}\n{text[-LONGEST // 2 :]}"


def partitions_of(topic: str, number: int) -> list[Partition]:
    """Return the partitions of a topic."""
    return [Partition(topic, n) for n in range(number)]
