"""HTML as its reader sees it, with every letter still in its place.

Markup is covered, not cut out, so that the place of a sentence is that in the text as it was sent.
Of what a browser hides some is left, and judged: a tag that never ends, what stands behind a `>` in
quotes or in a comment, scripts. Of what it shows some is covered: tags within elements whose
content is raw (`textarea`, `xmp`, CDATA), and attributes that are shown (`alt`, `value`).

The standard library's parser takes seconds for 20 KB of tags that do not end; this reads each
letter once.
"""

import re
from html import unescape
from typing import Final

# Stands in the place of markup that parts no words; control characters are no part of a comment.
COVER: Final = "\0"

PARTING: Final = frozenset(
    {
        "address", "article", "aside", "blockquote", "br", "dd", "details", "div", "dl", "dt",
        "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header",
        "hr", "li", "main", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "td",
        "tfoot", "th", "thead", "tr", "ul",
    }
)  # fmt: skip
# A tag, a comment, a declaration: up to the first `>`, where none has another `<` within.
_MARKUP: Final = re.compile(r"<(?:!|[/?]?(?P<name>[a-zA-Z][^\s/<>]*+))[^<>]*+>")


def covered(html: str) -> str:
    """Return HTML of the same length, with COVER or a space in the place of what is not shown."""
    return _MARKUP.sub(_cover, html)


def _cover(markup: re.Match[str]) -> str:
    parts = (markup["name"] or "").lower() in PARTING
    return (" " if parts else COVER) * len(markup[0])


def shown(part: str) -> str:
    """Return covered HTML, or a part of it, as its reader sees it."""
    return unescape(part.replace(COVER, ""))
