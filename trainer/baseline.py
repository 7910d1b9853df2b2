"""What must be beaten: TF-IDF of one and two words with logistic regression, on the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from trainer.calibrate import Floats, best_threshold
from trainer.data import Labels, Rows, is_set
from trainer.evaluate import Figures, evaluate


@dataclass(frozen=True, slots=True)
class BagOfWords:
    """The baseline, fitted.

    Attributes:
        names: of the labels.
        thresholds: [labels] of the best F1 on rows that were not learnt from.
    """

    names: tuple[str, ...]
    thresholds: tuple[float, ...]
    _words: Any
    _models: tuple[Any, ...]

    @classmethod
    def fitted(cls, train: Rows, validation: Rows) -> Self:
        """Fit on `train`, choose thresholds on `validation`."""
        words = TfidfVectorizer(
            ngram_range=(1, 2), min_df=2, sublinear_tf=True, strip_accents="unicode"
        )
        try:
            learnt = words.fit_transform(train.texts)
        except ValueError:  # no word comes twice: of texts without letters, say
            models: tuple[Any, ...] = (None,) * len(train.names)
        else:
            models = tuple(_fitted(learnt, labels) for labels in train.labels.T)
        scores = cls(train.names, (), words, models).probabilities(validation.texts)
        thresholds = tuple(map(best_threshold, scores.T, validation.labels.T))
        return cls(train.names, thresholds, words, models)

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return [texts, labels] probabilities; of a label that it could not learn they are 0."""
        nothing = np.zeros(len(texts))
        if not any(self._models):
            return np.column_stack([nothing for _ in self._models])
        found = self._words.transform(texts)
        return np.column_stack(
            [model.predict_proba(found)[:, 1] if model else nothing for model in self._models]
        )


def bag_of_words(train: Rows, validation: Rows, test: Rows) -> Figures:
    """Fit on `train`, choose thresholds on `validation`, judge on `test`, as with the model."""
    fitted = BagOfWords.fitted(train, validation)
    scores = fitted.probabilities(test.texts)
    return evaluate(scores, test.labels, fitted.thresholds, fitted.names)


def _fitted(learnt: Any, labels: Labels) -> Any:
    """Fit one label on the rows where it is known; None where all of them are of one class."""
    known = np.isfinite(labels)
    positive = is_set(labels[known])
    if positive.sum() in (0, len(positive)):
        return None
    model = LogisticRegression(class_weight="balanced", max_iter=1_000)
    return model.fit(learnt[np.flatnonzero(known)], positive)
