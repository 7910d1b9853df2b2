"""HTML as its reader sees it, with every letter still in its place.

Markup is covered, not cut out, so that the place of a sentence is that in the text as it was sent.
Nothing that a browser shows is covered: not what stands raw in a `textarea`, nor an image's `alt`.
Of what it hides some is left, and judged: scripts, tooltips, what follows a tag without an end.
Where XML is shown in HTML (`svg`, `math`), tags are read by the rules of HTML all the same.

The rules are those of the standard's tokenizer, as far as they say where markup ends; the standard
library's parser takes seconds for 20 KB of tags that do not end, and this reads each letter once.
"""

import re
from html import unescape
from typing import Final

# Stands in the place of markup that parts no words; control characters are no part of a comment.
COVER: Final = "\0"

# What the standard's style sheet shows on a line, or in a box, of its own.
PARTING: Final = frozenset(
    {
        "address", "article", "aside", "audio", "blockquote", "body", "br", "button", "caption",
        "center", "col", "colgroup", "dd", "details", "dialog", "dir", "div", "dl", "dt",
        "fieldset", "figcaption", "figure", "footer", "form", "frameset", "h1", "h2", "h3", "h4",
        "h5", "h6", "header", "hgroup", "hr", "html", "iframe", "input", "legend", "li", "listing",
        "main", "marquee", "menu", "meter", "nav", "object", "ol", "optgroup", "option", "p",
        "plaintext", "pre", "progress", "rp", "rt", "search", "section", "select", "summary",
        "table", "tbody", "td", "textarea", "tfoot", "th", "thead", "tr", "ul", "video", "xmp",
    }
)  # fmt: skip

# Elements in which no tag is read but their own end, which `plaintext` has none of.
_RAW_ENDS: Final = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp")
} | {"plaintext": re.compile(r"(?!)")}

_BEGIN: Final = re.compile(r"<(?=[a-zA-Z!?/])")
_ATTRIBUTE: Final = re.compile(
    r"""([^\s/>][^\s/>=]*+)(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s"'>][^\s>]*+|(?=>|\Z))|(?!\s*+=))"""
)
_MARKUP: Final = re.compile(
    r"<!--(?:-?>|.*?--!?>)"
    r"|<(?:!(?!--)|\?|/(?![a-zA-Z]))[^>]*+>"
    r"|<(?P<end>/)?+(?P<name>[a-zA-Z][^\s/>]*+)(?P<attributes>(?:[\s/]++|"
    rf"{_ATTRIBUTE.pattern})*+)>",
    re.DOTALL,
)
_SHOWN: Final = frozenset({"alt", "label", "placeholder", "title", "value"})  # attributes
_CDATA: Final = "<![CDATA["  # a comment in HTML, text in XML


def covered(html: str) -> str:
    """Return HTML of the same length, with COVER or a space in the place of what is not shown."""
    pieces: list[str] = []
    at = 0
    while begin := _BEGIN.search(html, at):
        markup = _MARKUP.match(html, begin.start())
        if markup is None:  # it never ends: a browser shows no more
            break
        pieces += html[at : markup.start()], _cover(markup)
        at = markup.end()
        if markup["name"] and not markup["end"] and (ends := _RAW_ENDS.get(markup["name"].lower())):
            end = ends.search(html, at)
            if end is None:
                break
            pieces.append(html[at : end.start()])
            at = end.start()
    return "".join([*pieces, html[at:]])


def _cover(markup: re.Match[str]) -> str:
    """Return what stands in the place of a tag, a comment or a declaration."""
    if markup[0].startswith(_CDATA):
        return markup[0]
    shown = [
        attribute.span(2)
        for attribute in _ATTRIBUTE.finditer(markup.string, *markup.span("attributes"))
        if attribute[2] and attribute[1].lower() in _SHOWN
    ]
    parts = shown or (markup["name"] or "").lower() in PARTING
    cover = " " if parts else COVER
    pieces: list[str] = []
    at = markup.start()
    for begin, end in shown:
        pieces += cover * (begin - at), markup.string[begin:end]
        at = end
    return "".join([*pieces, cover * (markup.end() - at)])


def shown(part: str) -> str:
    """Return covered HTML, or a part of it, as its reader sees it."""
    return unescape(part.replace(COVER, ""))
