"""Near duplicates are found, and texts that merely share words are not."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trainer.duplicates import SAME, SETTLED, Signatures, groups, joined

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


@given(
    arrays(
        np.uint64,
        st.tuples(st.integers(0, 12), st.just(SETTLED.hashes)),
        elements=st.integers(0, 1),
        fill=st.integers(0, 1),
    )
)
def test_each_text_is_compared_with_the_first_that_agrees_with_it_in_a_band(
    signatures: Signatures,
) -> None:
    """Written out pair by pair; hashes of one bit agree often, and in part."""
    leader = list(range(len(signatures)))
    for band in range(SETTLED.count):
        part = signatures[:, band * SETTLED.rows : (band + 1) * SETTLED.rows]
        for i, row in enumerate(part):
            j = next(j for j, before in enumerate(part) if (before == row).all())
            if (signatures[i] == signatures[j]).mean() >= SAME:
                one, other = sorted((leader[i], leader[j]))
                leader = [one if each == other else each for each in leader]

    assert joined(signatures, SETTLED).tolist() == leader
