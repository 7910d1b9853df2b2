"""Whatever a record holds, it leaves as a comment, a refusal or an erasure."""

import json
from collections.abc import Sequence
from time import process_time

import pytest
from hypothesis import given
from hypothesis.strategies import binary, lists, none, sampled_from, tuples

from rig.make import make_fetched, make_prepared, make_record, value_of
from rig.stub import stub_tokenise
from schemas.dead_letter import DIGEST, DeadLetterHeaders, Reason, digest_of
from worker.prepare import Prepare
from worker.settings import LimitSettings
from worker.tokenise import Pieces
from worker.window import Comment, Entry, Erasure, Headers, Record, Refusal

SECRET = "qxzqxz"  # noqa: S105 - what must not be told

MOST_CPU_S = 1.0  # a bound against hanging, not a benchmark: 0.05 is the aim


def entry_of(record: Record, **limits: int) -> Entry:
    """Prepare one record."""
    return make_prepared([record], **limits).entries[0]


def text_given_to_the_tokeniser(value: bytes, **limits: int) -> str:
    """Return the text that is judged."""
    seen: list[str] = []

    def tokenise(texts: Sequence[str]) -> list[Pieces]:
        seen.extend(texts)
        return stub_tokenise(texts)

    Prepare(LimitSettings(**limits), tokenise)(make_fetched([make_record(0, value)]))
    return seen[0]


EVERY_REASON = {
    Reason.VALUE_TOO_LARGE: (b"c1", value_of("a" * 70_000), ()),
    Reason.KEY_TOO_LARGE: (b"k" * 1_025, value_of(), ()),
    Reason.TOO_MANY_HEADERS: (b"c1", value_of(), [("h", b"")] * 101),
    Reason.HEADERS_TOO_LARGE: (b"c1", value_of(), [("h", b"x" * 40_000)]),
    Reason.KEY_MISSING: (None, value_of(), ()),
    Reason.KEY_NOT_THE_ID: (b"another", value_of(), ()),
    Reason.VALUE_NOT_UTF8: (b"c1", b'{"id": "c1", "text": "\xff"}', ()),
    Reason.VALUE_NOT_JSON: (b"c1", b"{", ()),
    Reason.SCHEMA: (b"c1", b'{"id": "c1"}', ()),
}
# These arise elsewhere: on the device (or below, by a tokeniser that fails), at the broker, in the
# client that reads the record (below, too), and over the API.
ELSEWHERE = {
    Reason.NOT_SCORABLE,
    Reason.REFUSED_BY_BROKER,
    Reason.HEADERS_UNREADABLE,
    Reason.LANGUAGE_NOT_SUPPORTED,
}


def test_every_reason_of_the_closed_list_has_its_test() -> None:
    """A new reason needs a row above."""
    assert set(Reason) == EVERY_REASON.keys() | ELSEWHERE


@pytest.mark.parametrize("reason", EVERY_REASON)
def test_each_reason_is_given_for_its_own_cause(reason: Reason) -> None:
    """The record is refused for this and nothing else."""
    key, value, headers = EVERY_REASON[reason]

    found = entry_of(make_record(0, value, key, headers=headers))

    assert isinstance(found, Refusal)
    assert reason is found.reason


def pair(half: str) -> bytes:
    """Return a comment in which half a surrogate pair stands, as JavaScript writes it."""
    return f'{{"id": "c1", "text": "you {half} fool", "language": "en"}}'.encode()


@pytest.mark.parametrize("half", ["\\ud83d", "\\uDE00", "\\uD83D\\ud83d", "\\ude00\\ud83d"])
def test_half_an_emoji_hides_no_comment(half: str) -> None:
    """The half becomes U+FFFD and the comment is judged."""
    assert "\N{REPLACEMENT CHARACTER}" in text_given_to_the_tokeniser(pair(half))
    found = entry_of(make_record(0, pair(half)))
    assert isinstance(found, Comment)
    assert found.event.id == "c1"


def test_a_whole_emoji_beside_a_half_one_stays() -> None:
    """Only the half is repaired."""
    judged = text_given_to_the_tokeniser(pair("\\ud83d\\ude00 \\ud83d"))

    assert judged == "you \N{GRINNING FACE} \N{REPLACEMENT CHARACTER} fool"


HOSTILE: dict[str, tuple[bytes | None, bytes | None, Headers]] = {
    "deep JSON": (b"c1", b"[" * 60_000, ()),
    "deep JSON, closed": (b"c1", b"[" * 30_000 + b"]" * 30_000, ()),
    "deep JSON in an ignored field": (b"c1", value_of()[:-1] + b', "x": ' + b"[" * 9_000, ()),
    "a number of a million digits": (b"c1", b'{"id": "c1", "text": ' + b"9" * 1_000_000, ()),
    "a number that just passes": (b"c1", b'{"id": "c1", "text": ' + b"9" * 60_000 + b"}", ()),
    "NaN": (b"c1", b'{"id": "c1", "text": "x", "revision": NaN}', ()),
    "an infinite number": (b"c1", b'{"id": "c1", "text": "x", "revision": 1e999}', ()),
    "duplicate keys": (b"c1", b'{"id": "c1", "text": "a", "text": "b"}', ()),
    "one megabyte of a letter": (b"c1", value_of("a" * 1_000_000), ()),
    "combining marks": (b"c1", value_of("e" + "\u0301" * 10_000), ()),
    "bad UTF-8": (b"c1", b'{"id": "c1", "text": "' + SECRET.encode() + b'\xc3"}', ()),
    "UTF-16": (b"c1", value_of().decode().encode("utf-16"), ()),
    "a null key": (None, value_of(), ()),
    "a null value": (b"c1", None, ()),
    "neither": (None, None, ()),
    "an empty value": (b"c1", b"", ()),
    "an empty key": (b"", value_of(), ()),
    "ten thousand headers": (b"c1", value_of(), [("h", None)] * 10_000),
    "a NUL": (b"c1", b'{"id": "c1", "text": "a\\u0000b"}', ()),
    "a text of a wrong kind": (b"c1", f'{{"id": "c1", "text": ["{SECRET}"]}}'.encode(), ()),
    "an id of a wrong kind": (b"c1", f'{{"id": {{"{SECRET}": 1}}, "text": "x"}}'.encode(), ()),
    "a date that is none": (b"c1", value_of(created_at=SECRET), ()),
    "a language too long": (b"c1", value_of(language=SECRET * 50), ()),
    "a revision of text": (b"c1", value_of(revision=SECRET), ()),
    "no JSON": (b"c1", SECRET.encode(), ()),
    "a comment in JSON": (b"c1", b'{"id": "c1", /* x */ "text": "x"}', ()),
    "a half pair in no JSON": (b"c1", b'{"id": "c1", "text": "\\ud83d', ()),
    "a half pair and NaN": (b"c1", b'{"id": "c1", "text": "\\ud83d", "revision": NaN}', ()),
    "a half pair, deep": (b"c1", b'{"text": "\\ud83d", "x": ' + b"[" * 60_000, ()),
    "200 thousand keys": (b"c1", b"{" + b",".join(b'"%d":1' % n for n in range(6_000)) + b"}", ()),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_records_are_refused_or_judged(name: str) -> None:
    """No exception, no long thought, and no word of it in the detail."""
    key, value, headers = HOSTILE[name]
    record = make_record(0, value, key, headers=headers)
    start = process_time()

    found = entry_of(record)

    assert process_time() - start < MOST_CPU_S
    assert isinstance(found, Comment | Refusal | Erasure)
    if isinstance(found, Refusal):
        assert SECRET not in found.detail
        assert len(found.detail) < 200


@pytest.mark.parametrize(
    ("name", "expected"),
    [("duplicate keys", "b"), ("a NUL", "a\0b"), ("combining marks", "e" + "\u0301" * 10_000)],
)
def test_odd_comments_are_judged_all_the_same(name: str, expected: str) -> None:
    """What is legal JSON of the right shape is a comment."""
    found = entry_of(make_record(0, HOSTILE[name][1]))

    assert isinstance(found, Comment)
    assert expected == found.event.text


@given(
    rows=lists(
        tuples(
            none() | binary(max_size=40),
            none() | binary(max_size=80) | sampled_from([value_of(), pair("\\ud83d")]),
        ),
        max_size=20,
    )
)
def test_any_bytes_leave_an_entry_beside_their_record(
    rows: list[tuple[bytes | None, bytes | None]],
) -> None:
    """An entry for each record, in order; the pieces of the comments cover the window's list."""
    records = [make_record(n, value, key) for n, (key, value) in enumerate(rows)]

    found = make_prepared(records)

    assert len(rows) == len(found.entries)
    pieces = [place for e in found.entries if isinstance(e, Comment) for place in e.pieces]
    assert list(range(len(found.pieces))) == pieces


@pytest.mark.parametrize("value", [b"{", b'{"id": 7}', b"\xff", value_of("a" * 70_000)])
def test_a_refusal_takes_the_id_from_the_key(value: bytes) -> None:
    """So that the comment can be held, whatever its value is."""
    found = entry_of(make_record(0, value, b"from-the-key"))

    assert isinstance(found, Refusal)
    assert found.comment_id == "from-the-key"


def test_a_refusal_takes_the_id_from_the_value_first() -> None:
    """A value that breaks the schema may still say which comment it is."""
    found = entry_of(make_record(0, b'{"id": "from-the-value"}', b"from-the-key"))

    assert isinstance(found, Refusal)
    assert found.comment_id == "from-the-value"


def test_a_comment_without_a_key_is_held_as_itself() -> None:
    """Id, community and revision are known: people are told."""
    found = entry_of(make_record(0, value_of(community="knitting", revision=4), key=None))

    assert isinstance(found, Refusal)
    assert (found.comment_id, found.community, found.revision) == ("c1", "knitting", 4)


def test_of_a_very_long_text_head_and_tail_are_judged() -> None:
    """Cut before anything is run over it, and `truncated` says so."""
    value = value_of("head " + "x" * 5_000 + " tail")

    judged = text_given_to_the_tokeniser(value, characters=100)
    found = entry_of(make_record(0, value), characters=100)

    assert judged.startswith("head x")
    assert judged.endswith("x tail")
    assert len(judged) == 101
    assert isinstance(found, Comment)
    assert found.truncated


@pytest.mark.parametrize(
    "padding", ["\n", " ", " \u200b", "\u2060\u200d", "\u2800", "\t\ufeff", "\u0301", "\ue000"]
)
def test_what_nobody_sees_pushes_nothing_out_of_a_long_text(padding: str) -> None:
    """A browser shows the insult alone; between head and tail it would not have been judged."""
    blanks = padding * 400
    value = value_of(f"so {blanks}you idiot{blanks}, bye")

    judged = text_given_to_the_tokeniser(value, characters=100)
    found = entry_of(make_record(0, value), characters=100)

    assert judged.replace(" ", "") == "soyouidiot,bye"
    assert isinstance(found, Comment)
    assert not found.truncated


def test_headers_that_cannot_be_read_hold_the_comment() -> None:
    """The client cannot carry a name that is no UTF-8; the comment is held, not lost."""
    found = entry_of(make_record(0, value_of())._replace(headers_readable=False))

    assert isinstance(found, Refusal)
    assert (found.reason, found.comment_id) == (Reason.HEADERS_UNREADABLE, "c1")


class PanicException(BaseException):
    """No Exception, so that few catch it."""


@pytest.mark.parametrize("failure", [Exception, PanicException])
def test_a_text_that_breaks_the_tokeniser_falls_alone(failure: type[BaseException]) -> None:
    """Its neighbours in the window are tokenised all the same."""

    def tokenise(texts: Sequence[str]) -> list[Pieces]:
        if any("boom" in text for text in texts):
            raise failure("thread panicked")
        return stub_tokenise(texts)

    values = [value_of("one"), value_of("boom", "c2"), value_of("three words here")]
    keys = (b"c1", b"c2", b"c1")
    records = [make_record(n, *pair) for n, pair in enumerate(zip(values, keys, strict=True))]

    found = Prepare(LimitSettings(), tokenise)(make_fetched(records))

    first, broken, last = found.entries
    assert isinstance(first, Comment)
    assert isinstance(last, Comment)
    assert isinstance(broken, Refusal)
    assert (broken.reason, broken.comment_id) == (Reason.NOT_SCORABLE, "c2")
    assert [len(found.pieces[e.pieces[0]]) for e in (first, last)] == [1, 3]


def test_limits_are_named_with_both_numbers() -> None:
    """What was found and what is allowed."""
    found = entry_of(make_record(0, b"x" * 70_000))

    assert isinstance(found, Refusal)
    assert found.detail == "70,000 bytes, at most 65,536 are allowed"


def test_an_erasure_keeps_its_key_as_bytes() -> None:
    """Whatever bytes they are: the tombstone must meet the comment's own key."""
    found = entry_of(make_record(0, None, b"\xff\x00"))

    assert Erasure(b"\xff\x00") == found
    assert json.loads(value_of())["id"] == "c1"


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        (digest_of(b"a comment"), Refusal),
        (f"the key must be the comment's id; {digest_of(b'a comment')}", Refusal),
        (f"no erasure, but a dead letter; {digest_of(b'')}; MSG_SIZE_TOO_LARGE", Refusal),
        ("33 headers, at most 32 are allowed", Erasure),
    ],
)
def test_a_dead_letter_without_its_payload_that_is_published_again_erases_nothing(
    detail: str, expected: type[Refusal | Erasure]
) -> None:
    """Its comment is not to be forgotten; an erasure that was refused still is one."""
    letter = DeadLetterHeaders(
        reason=Reason.TOO_MANY_HEADERS,  # the first reason stays, if its letter is refused
        detail=detail,
        source_topic="comments",
        source_partition=0,
        source_offset=0,
        source_timestamp=0,
    )

    found = entry_of(make_record(0, None, headers=letter.encode()))

    assert type(found) is expected
    if isinstance(found, Refusal):
        assert (found.reason, found.comment_id) == (Reason.REFUSED_BY_BROKER, "c1")
        assert DIGEST.search(found.detail.encode()), "or the letter of this one would erase"
