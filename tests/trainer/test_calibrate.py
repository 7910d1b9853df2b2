"""Calibration keeps the order, means what it says, and bears labels with few positives."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.bundle import Calibration
from trainer.calibrate import MOST_THRESHOLD, Scale, best_threshold, fit_scale, platt
from trainer.evaluate import calibration_error


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.01, 0.9))
def test_calibration_keeps_the_order(seed: int, share: float) -> None:
    """The slope is above 0 whatever the rows, even where the logits are mere noise."""
    random = np.random.default_rng(seed)
    labels = (random.random((120, 1)) < share).astype(np.float32)
    logits = random.normal(size=(120, 1)) * 3

    scores = fit_scale(logits, labels, [3.0]).probabilities(logits)

    assert (np.diff(scores[np.argsort(logits[:, 0]), 0]) >= 0).all()
    assert ((scores >= 0) & (scores <= 1)).all()


def test_the_shift_that_a_weight_made_is_taken_back() -> None:
    """Logits moved up by the log of a weight give probabilities that fit the shares again."""
    random = np.random.default_rng(0)
    true_logits = random.normal(-3, 2, 20_000)
    positive = random.random(20_000) < 1 / (1 + np.exp(-true_logits))
    shifted = true_logits[:, None] + np.log(9)

    scale = fit_scale(shifted, positive[:, None].astype(np.float32), [9.0])

    assert abs(scale.calibration[0].slope - 1) < 0.05
    assert calibration_error(scale.probabilities(shifted)[:, 0], positive) < 0.01


def test_a_label_without_positives_keeps_its_logits_but_for_the_weight() -> None:
    """There is nothing to fit, and nothing breaks."""
    found = platt(np.array([-1.0, 2.0, 0.5]), np.zeros(3, np.float32), 4.0)

    assert found.slope == 1
    assert found.intercept == -float(np.log(4))


def test_labels_that_are_not_known_do_not_count() -> None:
    """The same rows with unknown ones among them give the same scaling and threshold."""
    random = np.random.default_rng(1)
    logits, labels = random.normal(size=80), (random.random(80) < 0.3).astype(np.float32)
    more = np.concatenate([logits, [9.0, -9.0]])
    unknown = np.concatenate([labels, np.full(2, np.nan, np.float32)])

    assert platt(logits, labels, 2.0) == platt(more, unknown, 2.0)
    assert best_threshold(logits, labels) == best_threshold(more, unknown)


def test_the_threshold_of_the_best_f1_lies_between_the_classes() -> None:
    """Where the scores part the classes, it lies halfway."""
    scores, labels = np.array([0.1, 0.2, 0.6, 0.9]), np.array([0, 0, 1, 1], np.float32)

    assert best_threshold(scores, labels) == 0.4


def test_a_label_that_has_one_class_only_gets_the_threshold_of_a_half() -> None:
    """Nothing can be chosen from such rows."""
    assert best_threshold(np.array([0.1, 0.9]), np.zeros(2, np.float32)) == 0.5


def test_a_wanted_precision_gives_the_lowest_threshold_that_has_it() -> None:
    """Three of the four over 0.45 have the label, both of the two over 0.65."""
    scores = np.array([0.1, 0.4, 0.5, 0.6, 0.7, 0.8])
    labels = np.array([0, 0, 1, 0, 1, 1], np.float32)

    assert best_threshold(scores, labels, 0.7) == 0.45
    assert best_threshold(scores, labels, 0.9) == 0.65


@given(
    steps=st.lists(st.integers(0, 60), min_size=2, max_size=40),
    seed=st.integers(0, 1_000),
    wanted=st.sampled_from([0.6, 0.9]),
)
def test_a_rounded_threshold_has_the_precision_that_was_wanted(
    steps: list[int], seed: int, wanted: float
) -> None:
    """Scores may lie closer than 0.001 to each other: the precision is there all the same."""
    scores = 0.5 + np.array(steps) / 10_000
    labels = np.random.default_rng(seed).integers(0, 2, len(scores)).astype(np.float32)
    labels[:2] = [0, 1]

    found = best_threshold(scores, labels, wanted)

    assert found == MOST_THRESHOLD or labels[scores >= found].mean() >= wanted


def test_a_threshold_has_no_more_decimals_than_it_needs() -> None:
    """Three where they do."""
    labels = np.array([0, 1], np.float32)

    assert best_threshold(np.array([0.30001, 0.40002]), labels) == 0.35
    assert best_threshold(np.array([0.50031, 0.50037]), labels) == 0.50034


def test_a_precision_that_no_threshold_gives_is_answered_by_the_highest() -> None:
    """Rather hardly any comment than a wrong one."""
    scores, labels = np.array([0.2, 0.9]), np.array([1, 0], np.float32)

    assert best_threshold(scores, labels, 0.9) == 0.95


def test_a_label_of_which_no_row_says_anything_keeps_its_scale_of_before() -> None:
    """The others are fitted anew."""
    logits = np.linspace(-3, 3, 40)[:, None].repeat(2, 1)
    labels = np.stack([logits[:, 0] > 0.5, np.full(40, np.nan)], 1).astype(np.float32)
    before = Scale((Calibration(slope=2.0, intercept=-1.0),) * 2, (0.3, 0.7))

    scale = fit_scale(logits, labels, [1.0, 1.0], before=before)

    assert (scale.calibration[1], scale.thresholds[1]) == (before.calibration[1], 0.7)
    assert scale.calibration[0] != before.calibration[0]
    assert scale.thresholds[0] != 0.3
