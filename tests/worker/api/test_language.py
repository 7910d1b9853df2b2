"""Languages: said where the detector is sure, and never held against a short English comment."""

import pytest

from worker.api.language import UNKNOWN, LanguageDetector, base_of


@pytest.fixture(scope="module")
def detect() -> LanguageDetector:
    """Load the model once."""
    return LanguageDetector()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What a stupid and ugly thing to say, nobody here likes you at all.", "en"),
        ("Das ist ein schlechter Kommentar von jemandem, der nichts gelesen hat.", "de"),
        ("C'est une honte que personne ne fasse rien contre ces gens-là depuis des années.", "fr"),
        ("Это очень плохой комментарий, и мне он совсем не нравится, правда.", "ru"),
    ],
)
def test_a_sentence_is_told_by_its_language(
    text: str, language: str, detect: LanguageDetector
) -> None:
    """Where there is enough of it."""
    assert detect(text) == language


@pytest.mark.parametrize(
    "text",
    [
        "lol ok",
        "u suk",
        "kys",
        "thx m8",
        "no u",
        "gtfo noob",
        "",
        "1234 !!!",
        "😀😀😀",
        "x" * 5_000,
        "You idiot, the id is 7f3a9c1e-2b4d-4f6a-8c1d-9e0f1a2b3c4d",
        "see commit 303d4a694243464a4eefc41bb9eb0d18 please",
    ],
)
def test_what_is_short_or_no_language_is_undetermined(text: str, detect: LanguageDetector) -> None:
    """Perspective took such comments for Italian, Turkish or Zulu, and refused them."""
    assert detect(text) == UNKNOWN


@pytest.mark.parametrize(
    ("tag", "language"),
    [("en", "en"), ("en-GB", "en"), ("zh_Hant_TW", "zh"), ("EN", "en"), (" en ", "en")],
)
def test_a_tag_has_a_language(tag: str, language: str) -> None:
    """BCP 47, and what others make of it."""
    assert base_of(tag) == language
