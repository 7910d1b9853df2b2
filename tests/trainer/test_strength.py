"""Strength against disguise: right for models whose answers are known."""

from collections.abc import Sequence

import numpy as np

from trainer.bootstrap import Floats
from trainer.disguise import KINDS
from trainer.strength import ALL, strength

TEXTS = ["you idiot", "good morning", "what an idiot", "nice photo"] * 25
LABELS = np.asarray([[1], [0], [1], [0]] * 25, np.float32)


def test_a_model_that_knows_one_spelling_keeps_nothing() -> None:
    """It is blind to every disguise, and cries wolf at none."""

    def knows_the_word(texts: Sequence[str]) -> Floats:
        return np.asarray([[float("idiot" in text.split())] for text in texts])

    found = strength(knows_the_word, TEXTS, LABELS, [0.5])

    assert (found["toxic"], found["harmless"]) == (50, 50)
    assert found["plain"] == {"recall": 1.0, "false_alarms": 0.0}
    assert set(found["kinds"]) == {*KINDS, ALL}
    for kind in found["kinds"].values():
        assert kind["recall_kept"] == 0
        assert kind["false_alarms_added"] == 0


def test_a_model_that_flags_whatever_looks_odd_cries_wolf() -> None:
    """It keeps its recall, and every harmless twin is an alarm more."""

    def flags_odd(texts: Sequence[str]) -> Floats:
        return np.asarray([[float("idiot" in t.split() or t not in TEXTS)] for t in texts])

    found = strength(flags_odd, TEXTS, LABELS, [0.5])["kinds"][ALL]

    assert found["recall_kept"] == 1
    assert found["false_alarms_added"] == 1


def test_without_toxic_rows_there_is_no_recall_to_keep() -> None:
    """None, and not 0."""
    found = strength(
        lambda texts: np.zeros((len(texts), 1)), ["good"] * 3, LABELS[1:2].repeat(3, 0), [0.5]
    )

    assert found["kinds"][ALL]["recall_kept"] is None
    assert found["plain"]["recall"] is None
