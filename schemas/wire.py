"""Bytes to models and back: JSON, as hostile as it comes."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import orjson
from pydantic import ValidationError

from schemas.comment import INESSENTIAL, CommentEvent
from schemas.contract import MOST_CHARACTERS_OF_AN_ID
from schemas.dead_letter import Reason

# JavaScript cuts emoji in half and writes the half as an escape. pydantic calls that no
# JSON; refusing it would let anybody hide a comment from judgement behind half an emoji.
_HALF_PAIR_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_HALF_PAIR: Final = re.compile("[\ud800-\udfff]")
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


class WireError(Exception):
    """A value that is no comment. `detail` names the field and never quotes the value.

    Args:
        reason: one of the closed list.
        detail: what was expected where.
        comment_id: the comment's id where it could be read all the same.
    """

    def __init__(self, reason: Reason, detail: str, comment_id: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.comment_id = comment_id


def decode_comment(value: bytes) -> CommentEvent:
    """Read a comment. The caller has bounded the size: parsing costs what the value weighs.

    Raises:
        WireError: the value is no UTF-8, no JSON, or breaks the schema.
    """
    try:
        return CommentEvent.model_validate_json(value)
    except ValidationError as error:
        is_json = error.errors(include_input=False)[0]["type"] != "json_invalid"
    found = _lenient(value) if is_json else _repaired(value)
    if found is None:
        raise WireError(Reason.SCHEMA, "value: expected an object")
    return _validated(found)


def _validated(found: dict[str, Any]) -> CommentEvent:
    """Validate what was parsed, without the inessential fields that are wrong."""
    try:
        return CommentEvent.model_validate(found)
    except ValidationError as error:
        wrong = {item["loc"][0] for item in error.errors(include_input=False) if item["loc"]}
        if not wrong or not wrong <= INESSENTIAL:
            raise _schema_error(error, found) from None  # pydantic's own text may quote
    return _validated({name: item for name, item in found.items() if name not in wrong})


def id_in_key(key: bytes | None) -> str | None:
    """Read the comment's id from a record's key, where it is one."""
    try:
        found = (key or b"").decode("utf-8")
    except UnicodeDecodeError:
        return None
    return found if 0 < len(found) <= MOST_CHARACTERS_OF_AN_ID else None


def encode(payload: Mapping[str, Any]) -> bytes:
    """Write a payload of strings, numbers, lists and mappings as JSON in UTF-8."""
    return orjson.dumps(payload)


def _repaired(value: bytes) -> dict[str, Any]:
    """Read JSON in which halves of surrogate pairs stand, and put U+FFFD in their place."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WireError(Reason.VALUE_NOT_UTF8, f"byte {error.start} is no UTF-8") from None
    if not _HALF_PAIR_ESCAPE.search(value):
        raise WireError(Reason.VALUE_NOT_JSON, "expected a JSON object")
    found = _lenient(text)
    if found is None:
        raise WireError(Reason.VALUE_NOT_JSON, "expected a JSON object")
    return {
        name: _HALF_PAIR.sub(_REPLACEMENT, item) if isinstance(item, str) else item
        for name, item in found.items()
        if name in CommentEvent.model_fields
    }


def _lenient(value: bytes | str) -> dict[str, Any] | None:
    """Read a JSON object by the standard library, which bears halves of surrogate pairs."""
    try:
        found = json.loads(value, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _schema_error(error: ValidationError, found: Mapping[str, Any] | None) -> WireError:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "value"
    claimed = (found or {}).get("id")
    if not isinstance(claimed, str) or not 0 < len(claimed) <= MOST_CHARACTERS_OF_AN_ID:
        return WireError(Reason.SCHEMA, f"{field}: {first['msg']}")
    comment_id = _HALF_PAIR.sub(_REPLACEMENT, claimed)
    return WireError(Reason.SCHEMA, f"{field}: {first['msg']}", comment_id)
