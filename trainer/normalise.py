r"""The cleaning of texts, as data: the `normalizer` of the bundle's tokenizer.json.

Whatever reads that file cleans alike, in training and in serving, for ever. The cleaning undoes
disguise and drops what carries no meaning. It never drops words that a reader would see, so
that nothing can be hidden in markup or behind a link: of a link only `https://www.` goes.

Letters are exchanged in two passes, whatever their number: one for what is exchanged wherever
it stands, and one for what was marked before because of what stands beside it.

Every expression looks a bounded distance ahead and behind, or eats a run of one letter whole,
so a text of n characters takes time in proportion to n, whoever wrote it.
"""

from string import ascii_lowercase
from typing import Final

from tokenizers import Regex, Tokenizer, normalizers

from trainer.charsmap import exchange

# Letters and signs of other scripts that look like Latin ones, after lowercase: Cyrillic, Greek,
# Armenian, money. They are exchanged only in words that have Latin letters too.
LOOK_ALIKES: Final = {
    "a": "\u0430\u03b1",
    "b": "\u044c\u0432\u03b2",
    "c": "\u0441\u03c2\u00a2",
    "e": "\u0435\u0454\u03b5\u20ac",
    "g": "\u0581",
    "h": "\u04bb\u043d\u0570",
    "i": "\u0456\u03b9",
    "j": "\u0458",
    "k": "\u043a\u03ba",
    "m": "\u043c",
    "n": "\u043f\u03b7\u0578",
    "o": "\u043e\u03bf\u03c3\u0585",
    "p": "\u0440\u03c1",
    "q": "\u0563",
    "r": "\u0433\u044f",
    "t": "\u0442\u03c4",
    "u": "\u03c5\u03bc\u057d",
    "v": "\u03bd",
    "w": "\u03c9\u0448",
    "x": "\u0445\u03c7\u00d7",
    "y": "\u0443\u03b3\u00a5",
    "z": "\u0437",
}

# Latin letters in another dress, which no accent marks: phonetic ones, small capitals, letters
# with a stroke or a hook.
DRESSED: Final = {
    "a": "\u0251\u1d00\u2c65",
    "b": "\u0180\u0253\u0299",
    "c": "\u0188\u1d04\u023c",
    "d": "\u0501\u0111\u0256\u0257\u1d05",
    "e": "\u0247\u0258\u0259\u025b\u01dd\u1d07",
    "f": "\u0192\ua730",
    "g": "\u01e5\u0260\u0261\u0262",
    "h": "\u0127\u0266\u029c",
    "i": "\u0131\u0268\u0269\u026a",
    "j": "\u0237\u0249\u029d\u1d0a",
    "k": "\u0199\u1d0b",
    "l": "\u04cf\u0142\u019a\u026b\u026d\u029f",
    "m": "\u0271\u1d0d",
    "n": "\u0272\u0273\u0274\u014b",
    "o": "\u00f8\u0275\u1d0f",
    "p": "\u00fe\u01a5\u1d18",
    "q": "\u051b\u024b",
    "r": "\u024d\u0280\u027e\u027d",
    "s": "\u0455\u0282\ua731",
    "t": "\u0167\u01ad\u0288\u1d1b",
    "u": "\u0289\u1d1c",
    "v": "\u0475\u028b\u1d20",
    "w": "\u051d\u1d21",
    "y": "\u01b4\u024f\u028f",
    "z": "\u01b6\u0225\u1d22",
}
_WHITE_ON_BLACK: Final = (0x1F150, 0x1F170, 0x1F1E6)  # circled, squared, of flags: a to z each
_NOTHING: Final = "\u115f\u1160\u2800"  # they count as letters or signs, and show nothing

# Figures and signs that stand for a letter.
LEET: Final = {"a": "4@", "b": "8", "e": "3", "g": "9", "i": "1!", "o": "0", "s": "$5", "t": "7+"}
_INSIDE: Final = "4@83910$57+"  # with letters on both sides: sh1t, f@ggot, n1gg3r
_AHEAD: Final = "4389$1057+"  # where a word begins: 5tupid, and not 4th; @ names people
_BEHIND: Final = "4@30$57+"  # where a word ends: hell0
_COUNTED: Final = "st|rd|th|am|pm|[ckm]?m|k?g|mg|ml|[kmgt]b|px|k?hz|ft|lbs?|in|yr|hr"  # 4th, 5pm
_BETWEEN: Final = r".,*_/~\-" + "\u00b7\u2022"  # put between letters: f.u.c.k

# What is to be exchanged is marked first, by where it stands, and then exchanged in one pass.
# No text has these marks: they are accents, and accents are dropped before.
_MARK: Final = "\u0338"
_MARK_OF_L: Final = "\u0337"

_TAGS: Final = "a|b|br|center|code|div|em|font|i|p|pre|s|small|span|strong|sub|sup|u"
_DOUBLED: Final = "fglpstz"  # letters of which words have two in a row; of others one is kept
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
            exchange(_always()),
            _replace(_look_alike(), _MARK),
            _replace(_one_for_l(), _MARK_OF_L),
            _replace(_leet(), _MARK),
            exchange(_where_marked()),
            # f.u.c.k and f u c k: letters that stand alone, three or more where spaces part them
            _replace(_separated(), ""),
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


def _always() -> dict[str, str]:
    """Return what is exchanged wherever it stands."""
    table = dict.fromkeys(_NOTHING, "")
    table |= {other: letter for letter, others in DRESSED.items() for other in others}
    for first in _WHITE_ON_BLACK:
        table |= {chr(first + i): letter for i, letter in enumerate(ascii_lowercase)}
    return table


def _where_marked() -> dict[str, str]:
    """Return what is exchanged where it is marked."""
    pairs = [
        (other, letter)
        for table in (LOOK_ALIKES, LEET)
        for letter, others in table.items()
        for other in others
    ]
    return {other + _MARK: letter for other, letter in pairs} | {"1" + _MARK_OF_L: "l"}


def _look_alike() -> str:
    """Find the end of a look-alike in a word that has Latin letters: real Russian has none."""
    letters = "".join(LOOK_ALIKES.values())
    behind = "|".join(rf"[a-z]\p{{L}}{{{n}}}" for n in range(1, _NEAR + 1))
    return rf"(?<=[{letters}])(?:(?=\p{{L}}{{0,{_NEAR}}}?[a-z])|(?<={behind}))"


def _one_for_l() -> str:
    """Find the end of a 1 that stands for an l, not an i: c1ean, asho1e, ta1k."""
    return r"(?<=1)(?:(?<=[bcfgp]1)(?=[aeou])|(?<=[eou]1)(?=[a-z])|(?<=a1)(?=[kl]))"


def _leet() -> str:
    """Find the end of a sign that stands for a letter."""
    sign, last, clear = f"[{_INSIDE}]", f"[{_BEHIND}]", "[@$]"
    counts = rf"(?:{_COUNTED})\b"
    ways = [
        # inside a word, up to three at once: sh1t, ni993r
        rf"(?<=[a-z]{sign}|[a-z]{sign}{{2}}|[a-z]{sign}{{3}})(?={sign}{{0,2}}[a-z])",
        # sh!t and stup!d, and not stop!thief
        r"(?<=\b[a-z]!|\b[a-z][a-z]!)(?=[a-z])|(?<=[a-z]!)(?=[a-z]{1,2}\b)",
        # where a word begins: 5tupid and @ss, and neither 4th nor @somebody
        rf"(?<=[^\w{_INSIDE}][{_AHEAD}]|\A[{_AHEAD}])(?=[a-z][a-z{_INSIDE}])(?!{counts})",
        r"(?<=\W@|\A@)(?=[a-z]{2}\b)",
        # where a word ends: hell0
        rf"(?<=[a-z{_INSIDE}][a-z]{last})(?![\w{_BEHIND}])",
        # two where a word ends, of which one is no figure: a$$, h@5, n0+, and not top10 or c++
        rf"(?<=[a-z]{sign})(?<!\+)(?=[@$+](?!\w))|(?<=[a-z]{sign}[@$+])(?<!\+\+)(?!\w)",
        rf"(?<=[a-z]{clear})(?={last}(?!\w))|(?<=[a-z]{clear}{last})(?!\w)",
    ]
    return f"(?<=[!{_INSIDE}])(?:{'|'.join(ways)})"


def _separated() -> str:
    """Find a sign, or one between blanks, with a letter that stands alone on both sides."""
    alone = r"(?<=[^a-z][a-z]|\A[a-z])"
    return rf"{alone}(?:[{_BETWEEN}]| [{_BETWEEN}] )(?=[a-z](?:[^a-z]|\z))"


def _replace(pattern: str, by: str) -> normalizers.Replace:
    return normalizers.Replace(Regex(pattern), by)
