"""Bytes to comments and back, and what an error says about bytes that are none."""

import json
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import binary, builds, datetimes, integers, none, text

from schemas.comment import CommentEvent
from schemas.dead_letter import Reason
from schemas.wire import WireError, decode_comment, encode

IDS = text(min_size=1, max_size=30)
EVENTS = builds(
    CommentEvent,
    id=IDS,
    text=text(),
    community=none() | IDS,
    author=none() | IDS,
    parent_id=none() | IDS,
    language=none() | text(max_size=35),
    revision=integers(0, 2**53),
    created_at=none() | datetimes().map(lambda at: at.replace(tzinfo=UTC)),
)
HALF_PAIRS = text(alphabet="ab\ud83d\ude00\U0001f600", min_size=1, max_size=20)


@given(event=EVENTS)
def test_a_comment_that_is_written_reads_the_same(event: CommentEvent) -> None:
    """Every field, every character."""
    assert event == decode_comment(encode(event.model_dump(mode="json")))


@given(event=EVENTS)
def test_escaped_json_is_the_same_comment(event: CommentEvent) -> None:
    """Python's writer escapes what is not ASCII; both are JSON."""
    assert event == decode_comment(json.dumps(event.model_dump(mode="json")).encode())


@given(said=HALF_PAIRS)
def test_half_pairs_become_replacement_characters(said: str) -> None:
    """Whole pairs stay characters, and nothing else in the comment changes."""
    found = decode_comment(json.dumps({"id": "c1", "text": said, "revision": 2}).encode())

    units = said.encode("utf-16-le", "surrogatepass")
    assert units.decode("utf-16-le", "replace") == found.text
    assert not any("\ud800" <= character <= "\udfff" for character in found.text)
    assert (found.id, found.revision) == ("c1", 2)


@given(value=binary(max_size=200))
def test_any_bytes_are_a_comment_or_a_named_error(value: bytes) -> None:
    """Nothing else comes out, whatever goes in."""
    try:
        decode_comment(value)
    except WireError as error:
        assert error.reason in {Reason.VALUE_NOT_UTF8, Reason.VALUE_NOT_JSON, Reason.SCHEMA}  # noqa: PT017


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (b"\xff", Reason.VALUE_NOT_UTF8, "byte 0 is no UTF-8"),
        (b'{"id": "c1", "text": "\xc3"}', Reason.VALUE_NOT_UTF8, "byte 22 is no UTF-8"),
        (b"{", Reason.VALUE_NOT_JSON, "expected a JSON object"),
        (b"[]", Reason.SCHEMA, "value: "),
        (b'"text"', Reason.SCHEMA, "value: "),
        (b'{"id": "c1"}', Reason.SCHEMA, "text: Field required"),
        (b'{"id": "", "text": "x"}', Reason.SCHEMA, "id: "),
        (b'{"id": "c1", "text": "x", "revision": -1}', Reason.SCHEMA, "revision: "),
        (
            b'{"id": "c1", "text": "x", "revision": 9223372036854775808}',
            Reason.SCHEMA,
            "revision: ",
        ),
        (b'{"id": "c1", "text": "x", "community": 4}', Reason.SCHEMA, "community: "),
    ],
)
def test_an_error_names_the_field_and_what_was_expected(
    value: bytes, reason: Reason, detail: str
) -> None:
    """The field's name, and never its value."""
    with pytest.raises(WireError) as caught:
        decode_comment(value)

    assert reason is caught.value.reason
    assert caught.value.detail.startswith(detail)


def test_fields_that_we_do_not_know_are_ignored() -> None:
    """Platforms may add to their events."""
    assert decode_comment(b'{"id": "c1", "text": "x", "likes": [1, {"a": 2}]}').id == "c1"


@given(secret=text(alphabet="qxz", min_size=6, max_size=20))
def test_no_error_quotes_what_it_refuses(secret: str) -> None:
    """Neither its words nor those of pydantic, nor anything chained to it."""
    for field in ("text", "revision", "community"):
        raw = {"id": "c1", "text": "x", field: {"v": secret} if field == "text" else [secret]}
        with pytest.raises(WireError) as caught:
            decode_comment(json.dumps(raw).encode())

        assert secret not in str(caught.value)
        assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        ("c7", "c7"),
        ("", None),
        (7, None),
        ("x" * 257, None),
        ("\ud83d", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_the_id_is_read_wherever_it_can_be(claimed: object, expected: str | None) -> None:
    """Of a value that breaks the schema elsewhere, so that the comment can be held."""
    with pytest.raises(WireError) as caught:
        decode_comment(json.dumps({"id": claimed, "text": 7}).encode())

    assert expected == caught.value.comment_id


@pytest.mark.parametrize(
    "wrong",
    [
        {"author": ""},
        {"author": 42},
        {"author": "x" * 300, "language": "x" * 36},
        {"created_at": "2026-01-01T00:00:00"},
        {"parent_id": None, "created_at": "yesterday"},
    ],
)
def test_what_nobody_is_judged_by_condemns_nobody(wrong: dict[str, Any]) -> None:
    """A long display name must not keep a comment from being judged: the field is left out."""
    event = decode_comment(json.dumps({"id": "c1", "text": "x", "revision": 3, **wrong}).encode())

    assert (event.id, event.text, event.revision) == ("c1", "x", 3)
    assert all(getattr(event, name) is None for name in wrong)
