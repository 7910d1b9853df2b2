"""Near duplicates are found, and texts that merely share words are not."""

import numpy as np

from trainer.duplicates import groups

TEXT = (
    "the new section on the history of the harbour reads well, but the second paragraph still "
    "lacks a source and the picture of the lighthouse should be moved further down the page"
)


def test_case_punctuation_and_a_changed_word_make_a_near_duplicate() -> None:
    """All of these are the same comment in other dress."""
    shouted = TEXT.upper().replace(",", " !!! ")
    changed = TEXT.replace("lighthouse", "church")

    assert groups([TEXT, shouted, changed, f"{TEXT} thanks"]).tolist() == [0, 0, 0, 0]


def test_texts_that_share_some_words_stay_apart() -> None:
    """The same opening does not make the same comment."""
    other = TEXT[:60] + " and nothing else in it has anything to do with what was said elsewhere"

    assert groups([TEXT, other, "an altogether other remark here"]).tolist() == [0, 1, 2]


def test_short_texts_are_the_same_only_if_their_letters_are() -> None:
    """Two words give no pairs to compare: `thank you` is not `hate you`."""
    assert groups(["Thank you", "hate you", "thank-you!", "ok"]).tolist() == [0, 1, 0, 3]


def test_one_word_of_twelve_changed_is_found_in_each_of_three_thousand_texts() -> None:
    """A near duplicate that is missed is learnt from and judged by."""
    random = np.random.default_rng(0)
    words = [f"{chr(97 + i % 26)}{chr(97 + i // 26)}word" for i in range(500)]
    texts = [" ".join(random.choice(words, 12)) for _ in range(3_000)]
    changed = [f"{text.rsplit(' ', 1)[0]} another" for text in texts]

    found = groups(texts + changed).tolist()

    assert found == [*range(3_000), *range(3_000)]


def test_no_texts_make_no_groups() -> None:
    """An empty list is fine."""
    assert groups([]).tolist() == []


def test_texts_without_a_letter_are_the_same_only_if_all_their_signs_are() -> None:
    """Else one emoji that is held out would take all others out of the training."""
    assert groups(["!!!", "😀", "???", "😀", "\ud83d"]).tolist() == [0, 1, 2, 1, 4]
