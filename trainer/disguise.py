"""Texts as people disguise them to slip past a filter, to measure what the filter still sees.

Every word of three or more letters is disguised, so the rude one is, whichever it is: no list
of rude words is needed, and harmless texts are disguised just as much. That is harder than what
people do, who disguise a word or two. What is not a letter of such a word stays as it was.

The tables below are wider than those of `trainer.normalise` on purpose: what a cleaning does
not know must cost it something here.
"""

import re
import zlib
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

_WORD: Final = re.compile(r"(?<![^\W_])[A-Za-z]{3,}(?![^\W_])")

# Letters that look like Latin ones: Cyrillic, Greek, Armenian, phonetic and accented letters,
# small capitals, full-width, mathematical and circled forms.
HOMOGLYPHS: Final = {
    "a": "аαɑᴀáäａ𝐚ⓐ",
    "b": "ьʙƀｂ𝗯ⓑ",
    "c": "сϲᴄçｃ𝐜ⓒ",
    "d": "ԁɗđᴅｄ𝗱ⓓ",
    "e": "еεєᴇéëｅ𝐞ⓔ",
    "f": "ꜰſƒｆ𝗳ⓕ",
    "g": "ɡɢğցｇ𝐠ⓖ",
    "h": "һհʜħｈ𝗵ⓗ",
    "i": "іιıɪíïｉ𝐢ⓘ",
    "j": "јʝᴊｊ𝗷ⓙ",
    "k": "кκᴋķｋ𝐤ⓚ",
    "l": "ӏⅼʟłｌ𝗹ⓛ",
    "m": "мᴍɱｍ𝐦ⓜ",
    "n": "пηɴñոｎ𝗻ⓝ",
    "o": "оοσᴏóöøｏ𝐨ⓞ",
    "p": "рρᴘþｐ𝗽ⓟ",
    "q": "ԛգｑ𝐪ⓠ",
    "r": "гʀɾřｒ𝗿ⓡ",
    "s": "ѕꜱʂšｓ𝐬ⓢ",
    "t": "тτᴛŧｔ𝘁ⓣ",
    "u": "υսᴜúüｕ𝐮ⓤ",
    "v": "νѵᴠｖ𝘃ⓥ",
    "w": "ԝωᴡŵｗ𝐰ⓦ",
    "x": "хχｘ𝘅ⓧ",
    "y": "уγʏýｙ𝐲ⓨ",
    "z": "ᴢƶžｚ𝘇ⓩ",
}
LEET: Final = {
    "a": "4@",
    "b": "8",
    "e": "3",
    "g": "9",
    "i": "1!",
    "l": "1|",
    "o": "0",
    "s": "5$",
    "t": "7+",
}
# zero-width space, joiners, word joiner, byte order mark, soft hyphen, text direction,
# grapheme joiner, Mongolian vowel separator, variation selector
INVISIBLE: Final = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u034f\u180e\ufe0f"
MARKS: Final = ".-_*,~/·"
STRETCH: Final = (3, 8)  # how often a stretched letter stands there, from and below
HALF: Final = 0.5  # of a word's letters are exchanged, one at least

Disguise = Callable[[str, np.random.Generator], str]


def disguise(text: str, kind: str, seed: int = 0) -> str:
    """Disguise every word of three or more letters.

    Args:
        text: what somebody wrote.
        kind: one of KINDS.
        seed: with the text it settles every choice: the same text is always disguised alike.

    Returns:
        The text; without such a word it is the same.
    """
    random = np.random.default_rng([seed, zlib.crc32(text.encode(errors="surrogatepass"))])
    return _WORD.sub(lambda word: KINDS[kind](word.group(), random), text)


def _homoglyphs(word: str, random: np.random.Generator) -> str:
    return _exchanged(word, HOMOGLYPHS, random)


def _leet(word: str, random: np.random.Generator) -> str:
    return _exchanged(word, LEET, random)


def _spaces(word: str, random: np.random.Generator) -> str:  # noqa: ARG001 - as the others are
    """Put a blank between letters, and one around: a reader has to see where the word ends."""
    return f" {' '.join(word)} "


def _zero_width(word: str, random: np.random.Generator) -> str:
    """Put something invisible into half of the gaps between letters, into one at least."""
    gaps = random.random(len(word) - 1) < HALF
    gaps[random.integers(len(gaps))] = True
    signs = random.choice(list(INVISIBLE), len(gaps))
    return word[0] + "".join(
        sign + letter if gap else letter
        for letter, gap, sign in zip(word[1:], gaps, signs, strict=True)
    )


def _stretched(word: str, random: np.random.Generator) -> str:
    """Repeat one letter, the one that a speaker would hold: a vowel, where there is one."""
    vowels = [i for i, letter in enumerate(word) if letter in "aeiouAEIOU"]
    place = int(random.choice(vowels or range(len(word))))
    return word[:place] + word[place] * int(random.integers(*STRETCH)) + word[place + 1 :]


def _punctuation(word: str, random: np.random.Generator) -> str:
    return str(random.choice(list(MARKS))).join(word)


def _mixed(word: str, random: np.random.Generator) -> str:
    """Disguise each word in a way of its own."""
    return SINGLE[str(random.choice(list(SINGLE)))](word, random)


SINGLE: Final[dict[str, Disguise]] = {
    "homoglyphs": _homoglyphs,
    "spaces": _spaces,
    "zero-width": _zero_width,
    "leet": _leet,
    "stretched": _stretched,
    "punctuation": _punctuation,
}
KINDS: Final[dict[str, Disguise]] = SINGLE | {"mixed": _mixed}


def _exchanged(word: str, table: dict[str, str], random: np.random.Generator) -> str:
    """Exchange half of the letters that stand in the table, one at least."""
    places = [i for i, letter in enumerate(word) if letter.lower() in table]
    if not places:
        return word
    chosen = {i for i in places if random.random() < HALF} or {int(random.choice(places))}
    return "".join(
        str(random.choice(list(table[letter.lower()]))) if i in chosen else letter
        for i, letter in enumerate(word)
    )


def disguise_all(texts: Sequence[str], kind: str, seed: int = 0) -> list[str]:
    """Disguise texts, each by itself."""
    return [disguise(text, kind, seed) for text in texts]
