"""Balanced identities: a name that stands mostly in toxic rows gets harmless ones."""

import numpy as np

from schemas.labels import LABELS
from trainer.balanced import with_balanced_identities
from trainer.data import Rows
from trainer.identities import named

HARMLESS = "The museum has a Canadian painter. She was born by the sea in spring.\nShe lives."


def rows_of(*groups: tuple[str, float, int]) -> Rows:
    """So many rows of each text, toxic or not; the other labels are 0."""
    texts, labels = [], []
    for text, toxic, number in groups:
        texts += [f"{text} {i}" for i in range(number)]
        labels += [[toxic, *[0.0] * (len(LABELS) - 1)]] * number
    return Rows(texts, np.asarray(labels, np.float32))


def added(rows: Rows, seed: int = 0) -> Rows:
    """What stands behind the rows."""
    found = with_balanced_identities(rows, seed)
    assert found.texts[: len(rows)] == rows.texts
    return found.take(range(len(rows), len(found)))


UNFAIR = rows_of(
    ("you are so gay", 1.0, 30),
    ("a gay couple moved in next door", 0.0, 10),
    ("you fool", 1.0, 20),
    (HARMLESS, 0.0, 40),
)


def test_a_name_is_as_often_in_toxic_rows_as_rows_are_toxic() -> None:
    """50 of 100 rows are toxic; so 30 toxic ones that name a group need 30 harmless ones."""
    found = added(UNFAIR)

    assert len(found) == 20
    assert all(named(text) == {"gay"} for text in found.texts)
    assert not found.labels.any()


def test_they_are_comments_and_sentences_with_the_name_exchanged() -> None:
    """A sentence that names nobody is not taken, and a capital letter stays one."""
    texts = {text.rstrip("0123456789 ") for text in added(UNFAIR).texts}

    assert texts == {HARMLESS.replace("Canadian", "Gay"), "The museum has a Gay painter."}


def test_a_name_of_mostly_harmless_rows_gets_none() -> None:
    """The others say nothing of what a name is taken for."""
    fair = rows_of(("you fool", 1.0, 20), (HARMLESS, 0.0, 20), ("a gay couple moved in", 0.0, 5))

    assert len(added(fair)) == 0


def test_without_a_harmless_row_that_names_another_group_nothing_is_added() -> None:
    """Neither from a toxic row, nor from one whose label is not known, nor from a thing's age."""
    unknown = rows_of((HARMLESS, np.nan, 5), ("you gay fool", 1.0, 5), ("an old tree fell", 0.0, 5))
    toxic = rows_of((HARMLESS, 1.0, 5), ("you gay fool", 1.0, 5), ("the tree fell down", 0.0, 5))

    assert len(added(unknown)) == len(added(toxic)) == 0


def test_rows_that_weigh_less_count_less() -> None:
    """An added row weighs what the one that it is made of weighs, so there are more of these."""
    weights = np.where([text.startswith("The museum") for text in UNFAIR.texts], 0.5, 1.0)
    lighter = Rows(UNFAIR.texts, UNFAIR.labels, weights=weights.astype(np.float32))

    found = added(lighter)

    # Harmless weigh 30 to 50 toxic: 30 toxic ones that name the group need 18, and 10 are there.
    assert len(found) == 16
    assert set(found.weights.tolist()) == {0.5}


def test_a_seed_settles_which() -> None:
    """A run that was ended goes on with the same rows."""
    assert added(UNFAIR, 1).texts == added(UNFAIR, 1).texts
    assert added(UNFAIR, 1).texts != added(UNFAIR, 2).texts
