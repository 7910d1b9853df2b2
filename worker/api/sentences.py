"""A text in sentences, each with its place counted as Perspective's clients count."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

# A sentence ends at its mark, with the quotes and brackets that close behind it, before a space;
# in scripts that write none, at the mark; or at the end of a line. Markup that is covered (`\0`)
# and closes behind it belongs to it. Bounded, so that a thousand
# marks in a row cost what a thousand letters do.
END: Final = re.compile(r"[.!?…](?:\0*+[\"'’”»)\]]){0,3}+\0*+(?=\s)|[。！？]|\n")  # noqa: RUF001 - Chinese marks


class Sentence(NamedTuple):
    """A part of a text. `begin` and `end` count UTF-16 code units; `end` is exclusive."""

    text: str
    begin: int
    end: int


def sentences(text: str, most: int) -> list[Sentence]:
    """Cut a text into sentences, without the space between them.

    Args:
        text: to cut.
        most: sentences; the last one has all that is left.

    Returns:
        At least one sentence, unless the text is blank.
    """
    found: list[Sentence] = []
    at, counted = 0, 0  # where the last one ended, in characters and in code units
    for begin, end in _places(text, most):
        counted += _units(text[at:begin])
        width = _units(text[begin:end])
        found.append(Sentence(text[begin:end], counted, counted + width))
        counted += width
        at = end
    return found


def _places(text: str, most: int) -> Iterator[tuple[int, int]]:
    begin, number = 0, 1
    ends = (match.end() for match in END.finditer(text))
    for end in ends:
        if number == most:
            break
        if place := _stripped(text, begin, end):
            yield place
            number += 1
        begin = end
    if place := _stripped(text, begin, len(text)):
        yield place


def _stripped(text: str, begin: int, end: int) -> tuple[int, int] | None:
    """Return a place without the space at its ends; None if nothing else is there."""
    part = text[begin:end]
    if not (bare := part.strip()):
        return None
    begin += len(part) - len(part.lstrip())
    return begin, begin + len(bare)


def _units(text: str) -> int:
    """Count UTF-16 code units: two for what stands outside the first plane."""
    return len(text) + sum(letter > "\uffff" for letter in text)
