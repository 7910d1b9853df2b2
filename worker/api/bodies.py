"""Bodies of requests to models: JSON, as hostile as it comes."""

import re
from codecs import BOM_UTF8
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from worker.api.errors import invalid

# JavaScript cuts emoji in half and writes the half as an escape, which strict parsers call no
# JSON. A whole pair, a half, and any other escape, so that `\\ud83d` (a backslash and letters) is
# left alone.
ESCAPE: Final = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)

Body = TypeVar("Body", bound=BaseModel)


def parsed(model: type[Body], body: bytes) -> Body:
    """Read a body that is bounded already; none at all is an empty message.

    Raises:
        ApiError: it is no JSON, or not of this form; the field is named and nothing quoted.
    """
    try:
        body = body.removeprefix(BOM_UTF8)  # Windows' shells write one
        return model.model_validate_json(repaired(body) if body.strip() else b"{}")
    except ValidationError as error:
        raise _refusal(error) from None  # pydantic's own text may quote


def repaired(body: bytes) -> bytes:
    """Put U+FFFD where half of a surrogate pair stands: refusing it would hide a comment."""
    if b"\\u" not in body:
        return body
    return ESCAPE.sub(lambda found: rb"\ufffd" if found[2] else found[0], body)


def _refusal(error: ValidationError) -> Exception:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return invalid("Invalid JSON payload received.")
    where = ".".join(_shown(part) for part in first["loc"]) or "the body"
    message = first["msg"].removeprefix("Value error, ")
    return invalid(f"Invalid value at '{where}': {message}")


def _shown(part: int | str) -> str:
    """Return a part of a path; a name that a client made up may be as long as it likes."""
    return str(part)[:60]
