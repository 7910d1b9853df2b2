"""Partial responses: the query parameter `fields` of Google's APIs.

`attributeScores/TOXICITY/summaryScore/value,languages` or `attributeScores(TOXICITY,INSULT)`; a
star stands for any name, and what is named twice is wanted in both ways. Of a list, each item is
cut so.
"""

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, Final

from worker.api.errors import ApiError, invalid

TOKEN: Final = re.compile(r"[^,()/\s]+|[,()/]")
MARKS: Final = ",()/"
DEEPEST: Final = 20  # no answer of ours is half as deep
LONGEST: Final = 2_000  # characters; all that an answer has can be named in fewer
MOST_CHARACTERS: Final = 60  # of a name in an error

Mask = dict[str, "Mask | None"]  # name -> the mask of what is in it; None: all of it
Schemas = Mapping[str, Mapping[str, Any]]


def mask_of(fields: str) -> Mask:
    """Read a list of fields.

    Raises:
        ApiError: it is none.
    """
    if len(fields) > LONGEST:
        raise _no_mask()
    found = TOKEN.findall(fields)
    mask, rest = _selections(found, 0)
    if rest != len(found):
        raise _no_mask()
    return mask


def _selections(found: Sequence[str], at: int, depth: int = 0) -> tuple[Mask, int]:
    """Read selections with commas between them, and return where they end."""
    mask: Mask = {}
    while True:
        name, inner, at = _selection(found, at, depth)
        mask[name] = _both(mask.get(name, {}), inner)
        if at == len(found) or found[at] != ",":
            return mask, at
        at += 1


def _selection(found: Sequence[str], at: int, depth: int) -> tuple[str, Mask | None, int]:
    """Read `a/b/c` or `a/b(c,d)`, and return its first name, what is in it, and where it ends."""
    if at == len(found) or found[at] in MARKS or depth > DEEPEST:
        raise _no_mask()
    name, at = found[at], at + 1
    mark = found[at] if at < len(found) else ""
    if mark == "/":
        deeper, inner, at = _selection(found, at + 1, depth + 1)
        return name, {deeper: inner}, at
    if mark == "(":
        several, at = _selections(found, at + 1, depth + 1)
        if at == len(found) or found[at] != ")":
            raise _no_mask()
        return name, several, at + 1
    return name, None, at


def _both(one: Mask | None, other: Mask | None) -> Mask | None:
    """Return the union of two masks."""
    if one is None or other is None:
        return None
    return one | {
        name: _both(one[name], inner) if name in one else inner for name, inner in other.items()
    }


def refuse_unknown(mask: Mask, message: str, schemas: Schemas) -> None:
    """Refuse a mask with a field that a message does not have: what it left would look empty.

    Args:
        mask: what is wanted of it.
        message: its name among the schemas.
        schemas: those of the discovery document.

    Raises:
        ApiError: it names the field.
    """
    if unknown := _unknown(mask, {"$ref": message}, schemas):
        raise invalid(f"Invalid field selection {unknown[:MOST_CHARACTERS]}")


def _unknown(mask: Mask | None, schema: Mapping[str, Any], schemas: Schemas) -> str | None:
    """Return the first name in a mask that has no field behind it."""
    if mask is None:
        return None
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    if schema["type"] == "array":
        return _unknown(mask, schema["items"], schemas)
    fields, of_any_name = schema.get("properties", {}), schema.get("additionalProperties")
    for name, inner in mask.items():
        if name == "*" and fields:  # what is in it need be in one of them alone
            for each, deeper in (inner or {}).items():
                if all(_unknown({each: deeper}, under, schemas) for under in fields.values()):
                    return each
        elif (under := fields.get(name, of_any_name)) is None:
            return name
        elif found := _unknown(inner, under, schemas):
            return found
    return None


def _no_mask() -> ApiError:
    return invalid("Invalid field selection: fields")


def cut(found: Any, mask: Mask | None) -> Any:
    """Return what a mask leaves of an answer."""
    if mask is None:
        return found
    if isinstance(found, list):
        return [cut(item, mask) for item in found]
    if not isinstance(found, Mapping):
        return found
    left = {}
    for name, item in found.items():
        asked_for = [mask[each] for each in (name, "*") if each in mask]
        if asked_for:
            left[name] = cut(item, reduce(_both, asked_for))
    return left
