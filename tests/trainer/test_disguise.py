"""Disguise touches words alone, is the same each time, and a person can still read it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.disguise import HOMOGLYPHS, KINDS, disguise, disguise_all
from trainer.normalise import cleaning

CLEAN = cleaning()
TEXT = "You are a stupid idiot, and 4th to none!"


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(max_size=80), seed=st.integers(0, 5))
def test_the_same_text_is_always_disguised_alike(kind: str, text: str, seed: int) -> None:
    """Whatever stands around it, and in whatever order the rows come."""
    assert disguise(text, kind, seed) == disguise(text, kind, seed)
    assert disguise_all([text, text], kind, seed) == [disguise(text, kind, seed)] * 2


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(st.characters(exclude_categories=["Lu", "Ll"]), max_size=60))
def test_a_text_without_words_stays_as_it_is(kind: str, text: str) -> None:
    """Figures, signs and other scripts are not touched."""
    assert disguise(text, kind) == text


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_three_letters_and_more_are_disguised_and_nothing_else(kind: str) -> None:
    """The short words and the figures stay, no word is left as it was."""
    found = disguise(TEXT, kind)

    assert " a " in found
    assert " 4th to " in found
    assert not {"stupid", "idiot", "none"} & set(found.replace(",", " ").replace("!", " ").split())


@pytest.mark.parametrize("kind", ["homoglyphs", "zero-width", "stretched", "punctuation"])
def test_the_cleaning_undoes_what_it_knows(kind: str) -> None:
    """What the normaliser was made for comes out plain."""
    assert CLEAN.normalize_str(disguise(TEXT, kind)) == CLEAN.normalize_str(TEXT)


def test_no_letter_is_its_own_look_alike() -> None:
    """Each is another character, and one character."""
    for letter, others in HOMOGLYPHS.items():
        assert letter not in others
        assert all(unicodedata.name(other) for other in others)
