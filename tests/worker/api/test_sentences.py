"""Sentences: every letter in one of them, places as UTF-16 counts them, hostile text in no time."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.api.sentences import sentences

MANY = 1_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "no." Then left.', ['He said "no."', "Then left."]),
        ("version 1.2 is out", ["version 1.2 is out"]),
        ("a line\nand another", ["a line", "and another"]),
        ("why?!? because...  yes", ["why?!?", "because...", "yes"]),
        ("你好。再见。", ["你好。", "再见。"]),
        ("no mark at all", ["no mark at all"]),
        ('"It is.\0\0\0\0" Is it?', ['"It is.\0\0\0\0"', "Is it?"]),
        ("It is.\0\0\0\0 Is it?", ["It is.\0\0\0\0", "Is it?"]),
        ("   ", []),
        ("... !", ["...", "!"]),
    ],
)
def test_a_sentence_ends_at_its_mark_or_its_line(text: str, expected: list[str]) -> None:
    """A mark inside a number or a word ends nothing."""
    assert [sentence.text for sentence in sentences(text, MANY)] == expected


@given(st.text(), st.integers(1, 5))
def test_a_place_is_counted_in_utf_16_and_leads_to_the_sentence(text: str, most: int) -> None:
    """As JavaScript, and so Perspective's clients, count."""
    units = text.encode("utf-16-le", "surrogatepass")

    found = sentences(text, most)

    assert len(found) <= most
    for sentence in found:
        part = units[2 * sentence.begin : 2 * sentence.end]
        assert part.decode("utf-16-le", "surrogatepass") == sentence.text
        assert sentence.text == sentence.text.strip() != ""


@given(st.text(alphabet=st.sampled_from(". !?\"'ab\n😀"), max_size=60))
def test_nothing_but_space_stands_outside_all_sentences(text: str) -> None:
    """What is in no sentence would be scored by nobody."""
    units = text.encode("utf-16-le")
    at = 0
    for sentence in [*sentences(text, MANY), None]:
        end = sentence.begin if sentence else len(units) // 2
        assert units[2 * at : 2 * end].decode("utf-16-le").strip() == ""
        at = sentence.end if sentence else at


def test_of_more_sentences_the_last_has_the_rest() -> None:
    """Nobody hides behind a bound."""
    assert [s.text for s in sentences("a. b. c. d.", 2)] == ["a.", "b. c. d."]


@pytest.mark.parametrize(
    "text", ["!" * 20_000, '."' * 10_000, ". " * 10_000, "!\n" * 10_000, "!\0" * 10_000]
)
def test_marks_by_the_thousand_cost_what_letters_do(text: str) -> None:
    """A regular expression that goes back and forth would take minutes."""
    start = process_time()

    sentences(text, MANY)

    assert process_time() - start < 1
