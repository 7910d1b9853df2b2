"""TF-IDF with logistic regression, which every model has to beat."""

import numpy as np

from trainer.baseline import BagOfWords
from trainer.data import Rows


def test_texts_without_words_have_a_baseline_that_knows_nothing() -> None:
    """Emoji, say: there is nothing to count, and a bundle of hours is made all the same."""
    labels = np.array([[1], [0]] * 4, np.float32)
    rows = Rows(["\N{PILE OF POO}", "\N{PARTY POPPER}"] * 4, labels, ("toxic",))

    fitted = BagOfWords.fitted(rows, rows)

    assert fitted.probabilities(rows.texts).tolist() == [[0.0]] * 8
