"""What records say, as numbers: the one place that reads verdicts and dead letters.

Keys and contents become Python's own hash of them: 64 bits, keyed anew in each process, so
that nobody can make two of them meet. Two of 100 million keys meet by chance once in 3,000
runs.
"""

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from orjson import JSONDecodeError, loads

from deploy.reconcile.ledger import Mark
from deploy.reconcile.place import BY_API, MOST_PARTITIONS, NOWHERE, OFFSET, Numbers, place
from schemas.dead_letter import DIGEST, HEADER_PREFIX, DeadLetterHeaders, Reason
from schemas.verdict import verdict_id
from schemas.wire import WireError, decode_comment, id_in_key
from worker.intake import headers_of

OUR_HEADERS: Final = len(DeadLetterHeaders.model_fields)

# What a worker refuses without a look into the value.
UNOPENED: Final = frozenset(
    str(reason).encode()
    for reason in (
        Reason.VALUE_TOO_LARGE,
        Reason.KEY_TOO_LARGE,
        Reason.TOO_MANY_HEADERS,
        Reason.HEADERS_TOO_LARGE,
        Reason.HEADERS_UNREADABLE,
    )
)

# Bits of a verdict, beside those of the ledger.
HELD: Final = int(Mark.HELD)
ASKS: Final = 256  # for an action, so that it has a flag
STRANGE_ID: Final = 512  # not the one that its place gives it
STRANGE_KEY: Final = 1_024  # not its comment's id
VERSION_SHIFT: Final = 16  # of the bundle, numbered as they come


class Message(Protocol):
    """A record as the client gives it."""

    def key(self) -> Any:  # noqa: D102
        ...

    def value(self) -> Any:  # noqa: D102
        ...

    def headers(self) -> Any:  # noqa: D102
        ...

    def partition(self) -> Any:  # noqa: D102
        ...

    def offset(self) -> Any:  # noqa: D102
        ...

    def timestamp(self) -> Any:  # noqa: D102
        ...


class Facts(NamedTuple):
    """What some records say; what is not of our shape is named by its own place."""

    rows: Numbers
    shapeless: list[int]
    foreign: list[int]  # of another topic of comments


class Judged(NamedTuple):
    """Verdicts and tombstones, or flags, by column."""

    keys: Numbers
    at: Numbers  # their own places
    places: Numbers  # of their comments; NOWHERE for a tombstone, BY_API for one of the API
    prints: Numbers  # of their bytes, or of the verdict's id
    bits: Numbers


def judged(
    batch: Iterable[Message], topic: str, versions: dict[str, int], *, repeats: bool
) -> Facts:
    """Read verdicts or flags.

    Args:
        batch: of one topic.
        topic: of the comments.
        versions: of bundles, numbered; new ones are added.
        repeats: a comment may have been tried more than once; the tries have one id, and differ
            in their time and, by a hair, in their scores. Then prints are of the id.

    Returns:
        Rows as `Judged` has them.
    """
    rows, shapeless, foreign = array("q"), [], []
    for message in batch:
        key, value = message.key(), message.value()
        at = place(message.partition(), message.offset())
        if value is None:
            rows.extend((hash(key), at, NOWHERE, 0, 0))
            continue
        try:
            found = loads(value)
            source = found["source"]
            if source is None:
                rows.extend((hash(key), at, BY_API, 0, 0))
                continue
            its_topic, number, offset = source["topic"], source["partition"], source["offset"]
            where = _place(number, offset)
            bits = _bits(found, key, its_topic, number, offset, versions)
        except (JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
            shapeless.append(at)
            continue
        if its_topic == topic:
            said = found["verdict_id"] if repeats else value
            rows.extend((hash(key), at, where, hash(said), bits))
        else:
            foreign.append(at)
    return Facts(_table(rows, 5), shapeless, foreign)


def _bits(  # noqa: PLR0913, PLR0917 - once a verdict: a call of few words
    found: dict[str, Any],
    key: bytes | None,
    topic: str,
    number: int,
    offset: int,
    versions: dict[str, int],
) -> int:
    version: str = found["model"]["version"]
    bits = versions.setdefault(version, len(versions)) << VERSION_SHIFT
    if found["status"] == "held":
        bits |= HELD
    if found["action"] != "allow":
        bits |= ASKS
    if found["verdict_id"] != verdict_id(topic, number, offset, version):
        bits |= STRANGE_ID
    if found["comment_id"].encode() != key:
        bits |= STRANGE_KEY
    return bits


def letters(batch: Iterable[Message], topic: str) -> Facts:
    """Read dead letters of a topic: rows of place, print and marks."""
    rows, shapeless, foreign = array("q"), [], []
    for message in batch:
        try:
            found = list(headers_of(message)[0])
            own, ours = found[:-OUR_HEADERS], dict(found[-OUR_HEADERS:])
            its_topic, number, offset, reason, detail = (
                ours[HEADER_PREFIX + name] or b""
                for name in (
                    "source.topic",
                    "source.partition",
                    "source.offset",
                    "reason",
                    "detail",
                )
            )
            where = _place(int(number), int(offset))
        except (KeyError, TypeError, ValueError):
            shapeless.append(place(message.partition(), message.offset()))
            continue
        if its_topic != topic.encode():
            foreign.append(place(message.partition(), message.offset()))
            continue
        left_out = DIGEST.search(detail) if message.value() is None and not own else None
        marks = Mark.LETTER | (Mark.BLIND if reason in UNOPENED else 0)
        if left_out:
            rows.extend((where, _print_of(message.key(), left_out[1]), marks | Mark.EMPTIED))
        else:
            rows.extend((where, _print_of(message.key(), message.value(), own), marks))
    return Facts(_table(rows, 3), shapeless, foreign)


def comments(batch: Sequence[Message]) -> tuple[Numbers, Numbers, int]:
    """Read comments: rows of key and place, marks, and the oldest timestamp."""
    rows, marks, oldest = array("q"), array("q"), 2**62
    for message in batch:
        key, value = message.key(), message.value()
        rows.extend((hash(key), place(message.partition(), message.offset())))
        blind = 0 if id_in_key(key) else int(Mark.BLIND)
        owes = 0 if value is None and key else int(Mark.OWES)
        marks.append(Mark.RECORD.value | owes | blind)
        oldest = min(oldest, message.timestamp()[1])
    return _table(rows, 2), np.frombuffer(marks, dtype=np.int64), oldest


def print_as_letter(message: Message, *, emptied: bool) -> int:
    """Return the print that the dead letter of a comment must have."""
    value: bytes | None = message.value()
    if emptied:
        return _print_of(message.key(), hashlib.sha256(value or b"").hexdigest().encode())
    return _print_of(message.key(), value, headers_of(message)[0])


def id_in(message: Message, *, unopened: bool) -> bytes | None:
    """Return the id under which a comment that became a dead letter is held, where it has one.

    Args:
        message: the comment.
        unopened: nobody looked into its value.
    """
    by_key: bytes | None = message.key() if id_in_key(message.key()) else None
    if unopened or message.value() is None:
        return by_key
    try:
        return decode_comment(message.value()).id.encode()
    except WireError as error:
        return error.comment_id.encode() if error.comment_id else by_key


def _print_of(
    key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]] = ()
) -> int:
    return hash((key, value, tuple(headers)))


def _place(number: Any, offset: Any) -> int:
    """Return the place that somebody claims.

    Raises:
        ValueError: it is none.
    """
    for claimed, most in ((number, MOST_PARTITIONS), (offset, OFFSET)):
        if type(claimed) is not int or not 0 <= claimed <= most:
            raise ValueError("no place")
    return place(number, offset)


def _table(rows: "array[int]", columns: int) -> Numbers:
    return np.frombuffer(rows, dtype=np.int64).reshape(-1, columns)
