"""HTML: what its reader sees is left, in its place."""

from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.api.html_text import covered, shown


class Browser(HTMLParser):
    """The standard library's parser, which takes too long for what it does not understand."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen = ""
        self.feed(html)
        self.close()

    def handle_data(self, data: str) -> None:
        """Take what is shown."""
        self.seen += data


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("&#102;ine &amp; well &lt;b&gt;", "fine & well <b>"),
        ("<b>id</b>iot", "idiot"),
        ("one<br>two", "one    two"),
        ('<div data-note="stupid">a day</div>', "                        a day      "),
        ("<!-- you fool -->a day", "a day"),
        ("<!-->you fool-->", "you fool-->"),
        ("<!-- a > b --!>a day", "a day"),
        ("<!-- a day", "<!-- a day"),
        ('<a href="https://example.org/kill">a picture</a>', "a picture"),
        ("<!doctype html><?php x ?>a day", "a day"),
        ("a < b and c > d <3", "a < b and c > d <3"),
        ("a <b that never ends", "a <b that never ends"),
        ("<i <b>day</b>", "day"),
        ("<p x='a > b'>day", "             day"),
        ("<p x=a'b>day", "         day"),
        ('<i x="never closed>a day', '<i x="never closed>a day'),
        ("id<x-y>iot</x-y>", "idiot"),
        ("one<center>two", "one        two"),
        ("<xmp>a <day></XMP><b>f</b>ine", "     a <day>      fine"),
        ("<title></title><b>f</b>ine", "fine"),
        ("<plaintext>a <b>day</b>", "           a <b>day</b>"),
        ("<!-- <xmp> --><b>f</b>ine", "fine"),
        ('<a title="<xmp>"><b>f</b>ine', "fine"),
        ("<img alt='a day' src=x.png>", "          a day            "),
        ("<input value=day>", "             day "),
        ('id<img alt="" src=dot.png>iot', "idiot"),
        ("id<b value=1 alt='of a picture'>iot", "idiot"),
        ('id</b alt="x">iot', "idiot"),
        ("id<td>iot", "idiot"),
        ("<table><td>one<td>two</table>", "           one    two        "),
        ("<table></table>id<td>iot", "               idiot"),
        ("id</div>iot", "idiot"),
        ("<hr>id</hr>iot", "    idiot"),
        ("one<div>two</div>three", "one     two      three"),
        ("one</p>two", "one    two"),
        ("id<bloc\u212aquote>iot", "idiot"),
        ('<a b=\xa0"x>fool">y', 'fool">y'),
        ('<a\x0bb="x>fool">y', 'fool">y'),
        ("<textarea></textarea\xa0><i fool>", "          </textarea\xa0><i fool>"),
        ("<script></\u017fcript><!-- </script>fool", "</\u017fcript><!-- fool"),
        ("<noscript><!-- </noscript>fool -->", "<!-- fool -->"),
        ("you should &<b></b>die;", "you should &die;"),
        ("&#" + "1" * 5_000 + "; &#00000000000000102;ine", "\ufffd fine"),
        ("<![CDATA[a day]]>", "<![CDATA[a day]]>"),
        ("", ""),
    ],
)
def test_a_reader_sees_text_without_markup(html: str, expected: str) -> None:
    """Tags between lines and paragraphs part words, others do not; what is no tag stays."""
    assert shown(covered(html)) == expected


PIECES = st.sampled_from(["<b>", "</b>", "<p x='", "'", '"', "<!--", "-->", "<!", ">", "<", "fool"])
ENDED = st.sampled_from(
    [
        "<b>",
        "</b>",
        "<p x='a > b'>",
        "<!-- a > b -->",
        "<!-->",
        "<br/>",
        "<i title='fool'>",
        "<textarea>",
        "</textarea>",
        "<script>",
        "</script>",
        "&gt;",
        "a < b",
        ">",
        "fool",
    ]
)


@given(st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join))
def test_every_letter_keeps_its_place(html: str) -> None:
    """Whatever is sent: spans are counted in it."""
    found = covered(html)

    assert len(found) == len(html)
    assert all(a == b or b in "\0 " for a, b in zip(html, found, strict=True))


@given(st.lists(ENDED, max_size=12).map("".join))
def test_no_word_is_lost_that_a_browser_shows(html: str) -> None:
    """Or an insult could be hidden from us alone."""
    assert shown(covered(html)).count("fool") >= unescape(Browser(html).seen).count("fool")


def test_a_tag_without_an_end_is_read_once() -> None:
    """Or one request would hold the server up: its length is not known to be small yet."""
    html = "<" + "a" * 1_000_000

    assert covered(html) == html
