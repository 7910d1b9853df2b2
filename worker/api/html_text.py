"""HTML as its reader sees it, with every letter still in its place.

Markup is covered, not cut out, so that the place of a sentence is that in the text as it was sent.
Nothing that a browser shows is covered: not what stands raw in a `textarea`, nor an image's `alt`.
Of what it hides some is left, and judged: scripts, and what follows a tag without an end. What no
site lets into comments is not followed to the end: styles, `svg`, `math`, scripts within scripts.

The rules are those of the standard's tokenizer, as far as they say where markup ends; the standard
library's parser takes seconds for 20 KB of tags that do not end, and this reads each letter once.
"""

import re
from collections import Counter
from collections.abc import Iterator
from html import unescape
from typing import Final

# Stands in the place of markup that parts no words; control characters are no part of a comment.
COVER: Final = "\0"

# What the standard's style sheet shows on a line, or in a box, of its own.
PARTING: Final = frozenset(
    {
        "address", "article", "aside", "blockquote", "br", "button", "canvas", "center", "dd",
        "details", "dir", "div", "dl", "dt", "embed", "fieldset", "figcaption", "figure", "footer",
        "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "iframe", "legend",
        "li", "listing", "main", "marquee", "menu", "meter", "nav", "ol", "optgroup", "option",
        "p", "plaintext", "pre", "progress", "rt", "search", "section", "select", "summary",
        "table", "textarea", "ul", "video", "xmp",
    }
)  # fmt: skip
IN_TABLES: Final = frozenset({"caption", "tbody", "td", "tfoot", "th", "thead", "tr"})
# Ends of elements that were never opened, or have no content, are passed over, but for two.
WITHOUT_CONTENT: Final = frozenset({"embed", "hr"})
ALWAYS_PARTING: Final = frozenset({"br", "p"})

# Attributes that are shown, and the elements that show them.
SHOWN: Final = {
    "alt": frozenset({"area", "img", "input"}),
    "label": frozenset({"optgroup", "option", "track"}),
    "placeholder": frozenset({"input", "textarea"}),
    "value": frozenset({"input"}),
}

_SPACE: Final = r" \t\n\f\r"  # HTML's, which is less than Python's `\s`
# Elements in which no tag is read but their own end, which `plaintext` has none of.
_RAW_ENDS: Final = {
    name: re.compile(rf"</{name}(?=[{_SPACE}/>])", re.IGNORECASE | re.ASCII)
    for name in (
        "iframe", "noembed", "noframes", "noscript", "script", "style", "textarea", "title", "xmp"
    )
} | {"plaintext": re.compile(r"(?!)")}  # fmt: skip

_BEGIN: Final = re.compile(r"<(?=[a-zA-Z!?/])")
_VALUE: Final = rf"""("[^"]*+"|'[^']*+'|[^{_SPACE}"'>][^{_SPACE}>]*+|(?=>|\Z))"""
_ATTRIBUTE: Final = re.compile(
    rf"([^{_SPACE}/>][^{_SPACE}/>=]*+)"
    rf"(?:[{_SPACE}]*+=[{_SPACE}]*+{_VALUE}|(?![{_SPACE}]*+=))"
)
_MARKUP: Final = re.compile(
    r"<!--(?:-?>|.*?--!?>)"
    r"|<(?:!(?!--)|\?|/(?![a-zA-Z]))[^>]*+>"
    rf"|<(?P<end>/)?+(?P<name>[a-zA-Z][^{_SPACE}/>]*+)"
    rf"(?P<attributes>(?:[{_SPACE}/]++|{_ATTRIBUTE.pattern})*+)>",
    re.DOTALL,
)
_CDATA: Final = "<![CDATA["  # a comment in HTML, text in XML
# A number that no letter has; Python refuses to read one of thousands of digits.
_NO_LETTER: Final = re.compile(r"&#0*+[0-9]{8,}+;?")


def covered(html: str) -> str:
    """Return HTML of the same length, with COVER or a space in the place of what is not shown."""
    pieces: list[str] = []
    opened: Counter[str] = Counter()
    at = 0
    while begin := _BEGIN.search(html, at):
        markup = _MARKUP.match(html, begin.start())
        if markup is None:  # it never ends: a browser shows no more
            break
        pieces.append(html[at : markup.start()])
        pieces += _cover(markup, opened)
        at = markup.end()
        if not markup["end"] and (ends := _RAW_ENDS.get(_name(markup))):
            end = ends.search(html, at)
            if end is None:
                break
            pieces.append(html[at : end.start()])
            at = end.start()
    return "".join([*pieces, html[at:]])


def _name(markup: re.Match[str]) -> str:
    name = markup["name"] or ""
    return name.lower() if name.isascii() else name


def _cover(markup: re.Match[str], opened: Counter[str]) -> Iterator[str]:
    """Yield what stands in the place of a tag, a comment or a declaration."""
    if markup[0].startswith(_CDATA):
        yield markup[0]
        return
    parts, shown = _parts(markup, opened), list(_shown(markup))
    cover = " " if parts or shown else COVER
    at = markup.start()
    for begin, end in shown:
        yield cover * (begin - at)
        yield markup.string[begin:end]
        at = end
    yield cover * (markup.end() - at)


def _parts(markup: re.Match[str], opened: Counter[str]) -> bool:
    """Say whether a tag parts words, and note what it opens or closes."""
    name = _name(markup)
    if name not in PARTING and not (name in IN_TABLES and opened["table"]):
        return False
    if not markup["end"]:
        opened[name] += name not in WITHOUT_CONTENT
        return True
    was_open = opened[name] > 0
    opened[name] -= was_open
    return was_open or name in ALWAYS_PARTING


def _shown(markup: re.Match[str]) -> Iterator[tuple[int, int]]:
    """Yield the places of attributes' values that are shown, without their quotes."""
    if markup["end"]:
        return
    for attribute in _ATTRIBUTE.finditer(markup.string, *markup.span("attributes")):
        begin, end = attribute.span(2)
        if attribute[2] and attribute[2][0] in "\"'":
            begin, end = begin + 1, end - 1
        if begin < end and _name(markup) in SHOWN.get(attribute[1].lower(), ()):
            yield begin, end


def shown(part: str) -> str:
    """Return covered HTML, or a part of it, as its reader sees it."""
    pieces = part.split(COVER)  # an entity ends where a tag begins
    return "".join(unescape(_NO_LETTER.sub("\ufffd", piece)) for piece in pieces)
