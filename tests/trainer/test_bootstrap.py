"""Figures with weights are scikit-learn's, and draws are the same each time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from trainer import bootstrap
from trainer.bootstrap import draws, interval, once

ROWS = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 3)), min_size=2, max_size=40
)


@given(ROWS)
def test_areas_are_those_of_scikit_learn_with_ties_and_weights(
    rows: list[tuple[int, bool, int]],
) -> None:
    """A row that is drawn three times counts three times; without a class there is no area."""
    scores, positive, weights = (np.asarray(column) for column in zip(*rows, strict=True))
    drawn = np.repeat(np.arange(len(rows)), weights)
    found = (
        bootstrap.roc_auc(scores / 6, positive, weights[None].astype(float))[0],
        bootstrap.pr_auc(scores / 6, positive, weights[None].astype(float))[0],
    )

    if not 0 < positive[drawn].sum() < len(drawn):
        assert np.isnan(found).all()
        return
    assert found[0] == pytest.approx(roc_auc_score(positive[drawn], scores[drawn]))
    assert found[1] == pytest.approx(average_precision_score(positive[drawn], scores[drawn]))


def test_every_draw_has_as_many_rows_and_comes_again() -> None:
    """Two models are compared on the same draws."""
    first, second = (np.concatenate(list(draws(50, 30))) for _ in range(2))

    assert first.shape == (30, 50)
    assert (first.sum(axis=1) == 50).all()
    assert (first == second).all()


def test_the_draws_of_many_rows_come_in_parts_of_bounded_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand draws of a million rows never lie in memory at once."""
    monkeypatch.setattr(bootstrap, "_CELLS", 1_000)

    parts = list(draws(100, 25))

    assert [len(part) for part in parts] == [10, 10, 5]


def test_an_interval_leaves_out_draws_without_the_figure() -> None:
    """A draw without a threat has no area; with no draw at all there is no interval."""
    assert interval(np.array([np.nan, 1.0, 1.0])) == [1.0, 1.0]
    assert interval(np.array([np.nan])) is None
    assert once(3).tolist() == [[1, 1, 1]]
