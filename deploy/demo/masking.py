"""Masks what people should not have to read to see that the demo works."""

import re
from typing import Final

# Words that say nothing bad by themselves; all others are masked, since the worst word is
# the one that no list knows.
_PLAIN: Final = """
    a about after again all also always am an and another any are as at back be because been
    before being but by can come could day did do does don't down even every everybody everyone
    everything find first for from get give go good had has have he her here him his how i i'll
    i'm if in into is it it's its just keep know last like lives look looks make man me more most
    much my never new nobody no not nothing now of off on once one only or other our out over own
    people put said saturday say see she should so some somebody something than that that's the
    their them then there these they they're thing things think this those time to too two under
    until up us very want was way we well went were what when where which who why will with
    work would write year yes you your yours
"""
PLAIN_WORDS: Final = frozenset(_PLAIN.split())
APOSTROPHE: Final = "\N{RIGHT SINGLE QUOTATION MARK}"
WORD: Final = re.compile(rf"[^\W_]+(?:['{APOSTROPHE}][^\W_]+)*")
LONGEST: Final = 72


def mask(text: str) -> str:
    """Return one line of at most LONGEST characters in which only plain words can be read.

    Of every other word the first letter stays, and its length. A lone letter goes: it may be
    one of a word that was spaced out.
    """
    line = " ".join(text.split())
    masked = WORD.sub(lambda match: _masked(match[0]), line)
    visible = "".join(character if character.isprintable() else "·" for character in masked)
    return visible if len(visible) <= LONGEST else f"{visible[: LONGEST - 1]}…"


def _masked(word: str) -> str:
    if word.lower().replace(APOSTROPHE, "'") in PLAIN_WORDS:
        return word
    return word[0] + "*" * (len(word) - 1) if len(word) > 1 else "*"
