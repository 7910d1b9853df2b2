"""Bodies: JSON as hostile as it comes is read or refused, by the field and without its value."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.api.bodies import parsed, repaired
from worker.api.errors import ApiError
from worker.api.perspective import AnalyzeRequest
from worker.api.scoring import ScoreRequest


def test_names_are_read_in_either_form() -> None:
    """As JSON of protobuf allows: camelCase, or the names as they are declared."""
    camel = b'{"comment": {"text": "a"}, "requestedAttributes": {"THREAT": {"scoreThreshold": 1}}}'
    snake = (
        b'{"comment": {"text": "a"}, "requested_attributes": {"THREAT": {"score_threshold": 1}}}'
    )

    assert parsed(AnalyzeRequest, camel) == parsed(AnalyzeRequest, snake)
    assert parsed(AnalyzeRequest, camel).requested_attributes["THREAT"] is not None


def test_what_nobody_knows_is_passed_over() -> None:
    """Clients of other versions send more."""
    body = (
        b'{"comment": {"text": "a", "lang": 1}, "requestedAttributes": {"THREAT": null}, "x": [1]}'
    )

    assert parsed(AnalyzeRequest, body).requested_attributes == {"THREAT": None}


def test_a_byte_order_mark_is_none_of_the_json() -> None:
    """Windows' shells write one."""
    assert parsed(ScoreRequest, b'\xef\xbb\xbf{"text": "a"}').text == "a"


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_no_body_is_an_empty_message(body: bytes) -> None:
    """What is missing from it is said then."""
    assert parsed(AnalyzeRequest, body) == AnalyzeRequest()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'{"text": "half \ud83d"}', "half \ufffd"),
        (rb'{"text": "\ude00 half"}', "\ufffd half"),
        (rb'{"text": "\ud83d\ude00 whole"}', "😀 whole"),
        (rb'{"text": "\ud83d\ud83d\ude00"}', "\ufffd😀"),
        (rb'{"text": "a backslash: \\ud83d"}', r"a backslash: \ud83d"),
        (rb'{"text": "\\\ud83d"}', "\\\ufffd"),
        (rb'{"text": "\uD83D\uDE00 \u00e4 \n"}', "😀 ä \n"),
    ],
)
def test_half_an_emoji_is_repaired_and_judged(body: bytes, text: str) -> None:
    """JavaScript cuts emoji in half; refusing it would let anybody hide behind one."""
    assert parsed(ScoreRequest, body).text == text


@given(st.text())
def test_what_is_whole_is_not_touched(text: str) -> None:
    """As `json.dumps` writes it, with escapes."""
    body = json.dumps({"text": text}).encode()

    assert parsed(ScoreRequest, body).text == text
    assert repaired(body) == body


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"nonsense", "Invalid JSON payload"),
        (b"[]", "Invalid value at 'the body'"),
        (b"null", "Invalid value at 'the body'"),
        (b'{"comment": "secret"}', "Invalid value at 'comment'"),
        (b'{"comment": {"text": 4711}}', "Invalid value at 'comment.text'"),
        (b'{"requestedAttributes": []}', "Invalid value at 'requestedAttributes'"),
        (b'{"requestedAttributes": {"A": "secret"}}', "Invalid value at 'requestedAttributes.A'"),
        (b'{"languages": "en"}', "Invalid value at 'languages'"),
        (b'{"comment": {"text": "\xff secret"}}', "Invalid JSON payload"),
        (b'{"a": ' * 10_000, "Invalid JSON payload"),
        (b'{"a": ' + b"1" * 100_000 + b"}", "Invalid JSON payload"),
    ],
)
def test_what_is_wrong_is_named_and_not_quoted(body: bytes, message: str) -> None:
    """400, in Google's form."""
    with pytest.raises(ApiError) as refused:
        parsed(AnalyzeRequest, body)

    assert refused.value.message.startswith(message)
    assert "secret" not in refused.value.message
    assert "4711" not in refused.value.message
    assert refused.value.body()["error"]["code"] == 400


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_are_refused(body: bytes) -> None:
    """No other error comes out."""
    with suppress(ApiError):
        parsed(AnalyzeRequest, body)
