"""From a trained model to a bundle: an int8 model that is worse is no bundle's."""

import numpy as np
import pytest

from schemas.errors import TrainingError
from schemas.labels import LABELS
from trainer.data import Rows
from trainer.making import refuse_worse

HALVES = [0.5] * len(LABELS)


def rows_and_scores(count: int, noise: float) -> tuple[Rows, np.ndarray, np.ndarray]:
    """Return rows, a float model that knows them well, and an int8 model with noise on top."""
    random = np.random.default_rng(0)
    labels = (random.random((count, len(LABELS))) < 0.3).astype(np.float32)
    floating = np.clip(labels * 0.4 + random.random(labels.shape) * 0.6, 0, 1)
    quantised = np.clip(floating + random.normal(0, noise, labels.shape), 0, 1)
    return Rows([f"text {n}" for n in range(count)], labels), floating, quantised


def test_an_int8_model_that_is_worse_is_refused_with_the_difference() -> None:
    """With the interval and the bound beside it."""
    rows, floating, quantised = rows_and_scores(800, noise=0.5)

    with pytest.raises(TrainingError, match=r"below that of the float one .* at most 0\.001"):
        refuse_worse(floating, quantised, HALVES, rows, lenient=False)


def test_of_a_training_that_was_cut_short_it_is_said_and_taken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A smoke run is to show that all of it works, and twenty steps teach nothing."""
    rows, floating, quantised = rows_and_scores(800, noise=0.5)

    refuse_worse(floating, quantised, HALVES, rows, lenient=True)

    assert "below that of the float one" in capsys.readouterr().err


def test_an_int8_model_that_is_as_good_is_taken() -> None:
    """Rounding moves probabilities, and hardly ever their order."""
    rows, floating, quantised = rows_and_scores(800, noise=0.001)

    refuse_worse(floating, quantised, HALVES, rows, lenient=False)


def test_few_rows_prove_nothing_against_it() -> None:
    """A smoke run has a handful of positives: what they say is chance."""
    rows, floating, quantised = rows_and_scores(12, noise=0.1)

    refuse_worse(floating, quantised, HALVES, rows, lenient=False)
