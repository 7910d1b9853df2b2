"""Partial responses: the query parameter `fields` of Google's APIs.

`attributeScores/TOXICITY/summaryScore/value,languages` or `attributeScores(TOXICITY,INSULT)`; a
star stands for any name. Of a list, each item is cut so.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from worker.api.errors import ApiError, invalid

TOKEN: Final = re.compile(r"[^,()/\s]+|[,()/]")
MARKS: Final = ",()/"
DEEPEST: Final = 20  # no answer of ours is half as deep

Mask = dict[str, Any]  # name -> the mask of what is in it; an empty one: all of it


def mask_of(fields: str) -> Mask:
    """Read a list of fields.

    Raises:
        ApiError: it is none.
    """
    found = TOKEN.findall(fields)
    mask, rest = _selections(found, 0)
    if rest != len(found):
        raise _no_mask()
    return mask


def _selections(found: Sequence[str], at: int, depth: int = 0) -> tuple[Mask, int]:
    """Read selections with commas between them, and return where they end."""
    mask: Mask = {}
    while True:
        at = _selection(found, at, mask, depth)
        if at == len(found) or found[at] != ",":
            return mask, at
        at += 1


def _selection(found: Sequence[str], at: int, mask: Mask, depth: int) -> int:
    """Read `a/b/c` or `a/b(c,d)` into a mask, and return where it ends."""
    while True:
        if at == len(found) or found[at] in MARKS or depth > DEEPEST:
            raise _no_mask()
        mask = mask.setdefault(found[at], {})
        at, depth = at + 1, depth + 1
        if at == len(found) or found[at] != "/":
            break
        at += 1
    if at < len(found) and found[at] == "(":
        inner, at = _selections(found, at + 1, depth)
        if at == len(found) or found[at] != ")":
            raise _no_mask()
        mask.update(inner)
        at += 1
    return at


def _no_mask() -> ApiError:
    return invalid("Invalid field selection: fields")


def cut(found: Any, mask: Mask) -> Any:
    """Return what a mask leaves of an answer."""
    if not mask:
        return found
    if isinstance(found, list):
        return [cut(item, mask) for item in found]
    if not isinstance(found, Mapping):
        return found
    rest: Mask | None = mask.get("*")
    return {
        name: cut(item, mask.get(name, rest or {}))
        for name, item in found.items()
        if name in mask or rest is not None
    }
