r"""The cleaning of texts, as data: the `normalizer` of the bundle's tokenizer.json.

Whatever reads that file cleans alike, in training and in serving, for ever. The cleaning undoes
disguise and drops what carries no meaning. It never drops words that a reader would see, so
that nothing can be hidden in markup or behind a link: of a link only `https://www.` goes.

Every expression looks a bounded distance ahead and behind, or eats a run of one letter whole,
so a text of n characters takes time in proportion to n, whoever wrote it.
"""

from typing import Final

from tokenizers import Regex, Tokenizer, normalizers

# Cyrillic and Greek letters that look like Latin ones, after lowercase. Only these: each is one
# more pass over the text.
LOOK_ALIKES: Final = {
    "a": "\u0430\u03b1",
    "c": "\u0441",
    "e": "\u0435\u03b5",
    "h": "\u04bb",
    "i": "\u0456\u03b9",
    "k": "\u043a\u03ba",
    "n": "\u043f\u03b7",
    "o": "\u043e\u03bf",
    "p": "\u0440\u03c1",
    "s": "\u0455",
    "t": "\u0442\u03c4",
    "u": "\u03c5",
    "x": "\u0445",
    "y": "\u0443",
}

# Figures and signs that stand for a letter where letters stand on both sides: sh1t, f@ggot.
LEET: Final = {"a": "4@", "e": "3", "i": "1", "o": "0", "s": "$5"}

_TAGS: Final = "a|b|br|center|code|div|em|font|i|p|pre|s|small|span|strong|sub|sup|u"
_DOUBLED: Final = "efglopstz"  # letters of which words have two in a row; of others one is kept
_NEAR: Final = 6  # letters ahead in which a Latin one makes a word mixed


def cleaning() -> normalizers.Normalizer:
    """Return the whole cleaning, in the order in which it is applied."""
    return normalizers.Sequence(
        [
            normalizers.NFKC(),  # full-width, mathematical and circled letters become plain ones
            # drops control, zero-width and bidi characters and accents; lowercases
            normalizers.BertNormalizer(
                clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True
            ),
            _replace(r"https?://", " "),
            _replace(r"www\.", " "),
            _replace(rf"</?(?:{_TAGS})\s?/?>", ""),
            _replace(r"&(?:nbsp|quot|amp|lt|gt|#39);", " "),
            _replace(r"[\[\]{}|=]{2,}", " "),
            _replace(r"''+", ""),
            *(_look_alike(x, latin) for latin, others in LOOK_ALIKES.items() for x in others),
            *(_leet(letter, signs) for letter, signs in LEET.items()),
            # f.u.c.k and f u c k: letters that stand alone, three or more where spaces part them
            _replace(r"(?<=\b[a-z])[.*_\-](?=[a-z]\b)", ""),
            _replace(r"(?<=\b[a-z]) (?=[a-z] [a-z]\b)|(?<=\b[a-z] [a-z]) (?=[a-z]\b)", ""),
            # stretched: of three or more in a row one or two letters stay, of signs three
            _replace(rf"([a-z&&[^{_DOUBLED}]])\1+(?=\1)|([{_DOUBLED}])\2*(?=\2\2)", ""),
            _replace(r"([!-/:-@\[-^`{-~])\1*(?=\1\1\1)", ""),
        ]
    )


def with_cleaning(tokenizer: Tokenizer) -> Tokenizer:
    """Return a copy of a tokeniser that cleans its texts first.

    Args:
        tokenizer: of an uncased model: the cleaning lowercases.
    """
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.normalizer = cleaning()
    copy.no_truncation()
    copy.no_padding()
    return copy


def _look_alike(other: str, latin: str) -> normalizers.Replace:
    """Replace a look-alike in words that have Latin letters too: real Russian stays as it is."""
    ahead, behind = rf"(?=\p{{L}}{{0,{_NEAR}}}?[a-z])", rf"(?<=[a-z]{other}|[a-z]{other}{other})"
    return _replace(rf"{other}(?:{ahead}|{behind})", latin)


def _leet(letter: str, signs: str) -> normalizers.Replace:
    signs_of_all = "".join(LEET.values())
    return _replace(rf"(?<=[a-z]|[a-z][{signs}])[{signs}](?=[{signs_of_all}]?[a-z])", letter)


def _replace(pattern: str, by: str) -> normalizers.Replace:
    return normalizers.Replace(Regex(pattern), by)
