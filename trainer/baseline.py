"""What must be beaten: TF-IDF of one and two words with logistic regression, on the same rows."""

from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from trainer.calibrate import Floats, best_threshold
from trainer.data import Labels, Rows, is_set
from trainer.evaluate import Figures, evaluate


def bag_of_words(train: Rows, validation: Rows, test: Rows) -> Figures:
    """Fit on `train`, choose thresholds on `validation`, judge on `test`, as with the model."""
    words = TfidfVectorizer(
        ngram_range=(1, 2), min_df=2, sublinear_tf=True, strip_accents="unicode"
    )
    learnt = words.fit_transform(train.texts)
    held_out = words.transform([*validation.texts, *test.texts])
    scores = np.column_stack(
        [_scores(learnt, train.labels[:, i], held_out) for i in range(len(train.names))]
    )
    chosen, judged = scores[: len(validation)], scores[len(validation) :]
    thresholds = [
        best_threshold(chosen[:, i], validation.labels[:, i]) for i in range(len(train.names))
    ]
    return evaluate(judged, test.labels, thresholds, train.names)


def _scores(learnt: Any, labels: Labels, held_out: Any) -> Floats:
    """Fit one label on the rows where it is known and return [rows] probabilities."""
    known = np.isfinite(labels)
    positive = is_set(labels[known])
    if positive.sum() in (0, len(positive)):
        return np.zeros(held_out.shape[0])
    model = LogisticRegression(class_weight="balanced", max_iter=1_000)
    model.fit(learnt[np.flatnonzero(known)], positive)
    scores: Floats = model.predict_proba(held_out)[:, 1]
    return scores
