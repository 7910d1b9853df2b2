"""Learning from disguised rows: which stand there once more, and with what."""

import numpy as np

from schemas.labels import LABELS
from trainer.data import Rows
from trainer.disguised import with_disguised

TEXTS = [f"somebody wrote number {n} under the picture" for n in range(1_000)]
LABELLED = np.random.default_rng(0).integers(0, 2, (1_000, len(LABELS))).astype(np.float32)
ROWS = Rows(TEXTS, LABELLED, weights=np.linspace(0.1, 1, 1_000, dtype=np.float32))


def test_a_share_of_the_rows_stands_there_again_in_disguise_with_its_labels() -> None:
    """The rows come first as they are; each disguised one keeps labels, weight and file."""
    found = with_disguised(ROWS, 0.2, seed=0)

    assert found.texts[:1_000] == ROWS.texts
    added = len(found) - 1_000
    assert 150 < added < 250
    for i in range(1_000, len(found)):
        number = int(np.flatnonzero(ROWS.weights == found.weights[i])[0])
        assert found.texts[i] != ROWS.texts[number]
        assert found.labels[i].tolist() == ROWS.labels[number].tolist()


def test_a_seed_settles_which_and_how() -> None:
    """A run that was ended goes on with the same rows."""
    again = [with_disguised(ROWS, 0.2, seed).texts for seed in (3, 3, 4)]

    assert again[0] == again[1]
    assert again[0] != again[2]


def test_without_a_share_the_rows_are_as_they_were() -> None:
    """0 is the default."""
    assert with_disguised(ROWS, 0.0, seed=0).texts == ROWS.texts
