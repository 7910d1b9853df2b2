"""Figures: right on rows that can be reckoned by hand, None where there are none."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score

from trainer.evaluate import Judged, calibration_error, difference, evaluate


def test_figures_of_four_rows_are_those_reckoned_by_hand() -> None:
    """Three of four pairs in order; one of two set labels right."""
    scores = np.array([[0.9], [0.4], [0.6], [0.1]])
    labels = np.array([[1], [1], [0], [0]], np.float32)

    figures = evaluate(scores, labels, [0.5], ["toxic"])["labels"]["toxic"]

    assert figures["positives"] == 2
    assert figures["roc_auc"] == 0.75
    assert (figures["precision"], figures["recall"], figures["f1"]) == (0.5, 0.5, 0.5)


def test_a_label_with_one_class_has_no_figures_and_spoils_no_mean() -> None:
    """Its AUC is None, not 0 or 0.5."""
    scores = np.array([[0.9, 0.1], [0.1, 0.2], [0.2, 0.3]])
    labels = np.array([[1, 0], [0, 0], [0, 0]], np.float32)

    figures = evaluate(scores, labels, [0.5, 0.5], ["toxic", "threat"])

    assert figures["labels"]["threat"]["roc_auc"] is None
    assert figures["mean_roc_auc"] == 1.0


def test_rows_where_a_label_is_not_known_are_left_out_of_its_figures() -> None:
    """Not known is neither right nor wrong."""
    scores = np.array([[0.9], [0.1], [0.99]])
    labels = np.array([[1], [0], [np.nan]], np.float32)

    figures = evaluate(scores, labels, [0.5], ["toxic"])["labels"]["toxic"]

    assert (figures["known"], figures["roc_auc"]) == (2, 1.0)


def test_the_interval_holds_the_figure_and_is_the_same_each_time() -> None:
    """The rows are drawn anew with a fixed seed."""
    random = np.random.default_rng(0)
    labels = (random.random((400, 2)) < 0.2).astype(np.float32)
    scores = np.clip(labels * 0.3 + random.random((400, 2)) * 0.7, 0, 1)

    first, second = (evaluate(scores, labels, [0.5, 0.5], ["a", "b"]) for _ in range(2))

    low, high = first["mean_roc_auc_interval"]
    assert low < first["mean_roc_auc"] < high
    assert first == second


def test_calibration_error_is_the_gap_between_probability_and_share() -> None:
    """Scores of 0.8 of which half are positive are off by 0.3."""
    positive = np.tile([True, False], 150)

    assert calibration_error(np.full(300, 0.8), positive) == pytest.approx(0.3)


def made(rows: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make scores that lean to the labels, for three labels."""
    random = np.random.default_rng(seed)
    labels = (random.random((rows, 3)) < [0.4, 0.2, 0.1]).astype(np.float32)
    return np.clip(labels * 0.3 + random.random(labels.shape) * 0.7, 0, 1), labels


def test_means_over_labels_are_those_of_scikit_learn() -> None:
    """Macro and micro, and the share of rows of which every label is right."""
    scores, labels = made()
    flagged = scores >= 0.5

    figures = evaluate(scores, labels, [0.5] * 3, ["a", "b", "c"])

    assert figures["macro_f1"] == pytest.approx(
        f1_score(labels, flagged, average="macro"), abs=1e-4
    )
    assert figures["micro_f1"] == pytest.approx(
        f1_score(labels, flagged, average="micro"), abs=1e-4
    )
    expected = precision_score(labels, flagged, average="micro")
    assert figures["micro_precision"] == pytest.approx(expected, abs=1e-4)
    assert figures["subset_accuracy"] == pytest.approx(
        (flagged == labels).all(axis=1).mean(), abs=1e-4
    )


def test_accuracy_stands_beside_what_a_silent_model_gets() -> None:
    """Where one row of ten is positive, never setting a label is right in nine."""
    labels = np.zeros((100, 1), np.float32)
    labels[:10] = 1

    figures = evaluate(np.zeros((100, 1)), labels, [0.5], ["threat"])

    assert figures["accuracy"] == figures["accuracy_of_silence"] == 0.9
    assert figures["labels"]["threat"]["recall"] == 0
    assert figures["labels"]["threat"]["false_negatives"] == 10


def test_a_model_does_not_differ_from_itself_and_a_worse_one_is_worse() -> None:
    """On the same draws the difference with itself is 0 in each of them."""
    scores, labels = made()
    ours = Judged(scores, labels, [0.5] * 3, ["a", "b", "c"])
    noise = np.random.default_rng(1).random(scores.shape)
    worse = Judged((scores + noise) / 2, labels, [0.5] * 3, ["a", "b", "c"])

    same, found = difference(ours, ours), difference(ours, worse)

    assert same["mean_roc_auc"] == {"difference": 0.0, "interval": [0.0, 0.0]}
    assert found["mean_roc_auc"]["interval"][0] > 0
