"""Score maps: they never fall, keep the share that a threshold flags, and make a new version."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.bundle import ScoreMap
from trainer.score_map import agreement, applied, by_quantiles, by_regression

SCORES = st.lists(
    st.tuples(st.floats(0, 1, width=16), st.floats(0, 1, width=16)), min_size=2, max_size=200
)


@pytest.mark.parametrize("fit", [by_quantiles, by_regression])
@given(pairs=SCORES)
def test_a_map_of_any_scores_is_monotone_and_stays_in_bounds(fit, pairs) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - two of one shape
    """Whatever is fitted is a valid map, and the order of comments is never turned."""
    ours, theirs = (np.asarray(column) for column in zip(*pairs, strict=True))

    mapped = applied(fit(ours, theirs), np.linspace(0, 1, 50))

    assert (np.diff(mapped) >= 0).all()
    assert mapped.min() >= 0
    assert mapped.max() <= 1


@given(pairs=SCORES, at=st.floats(0, 1))
def test_the_schemas_map_and_numpys_are_the_same(
    pairs: list[tuple[float, float]], at: float
) -> None:
    """The worker needs no numpy for one probability."""
    ours, theirs = (np.asarray(column) for column in zip(*pairs, strict=True))
    score_map = by_quantiles(ours, theirs)

    assert score_map(at) == pytest.approx(float(applied(score_map, np.asarray([at]))[0]))


@given(pairs=SCORES, at=st.floats(0, 1), theirs=st.floats(0, 1))
def test_a_mapped_threshold_decides_as_the_mapped_score_does(
    pairs: list[tuple[float, float]], at: float, theirs: float
) -> None:
    """But for the last digits, where a score lies on the threshold itself."""
    score_map = by_quantiles(*(np.asarray(column) for column in zip(*pairs, strict=True)))

    threshold = score_map.threshold(theirs)

    if abs(score_map(at) - theirs) > 1e-9 and abs(at - threshold) > 1e-9:
        assert (at >= threshold) == (score_map(at) >= theirs)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8, 0.95])
def test_a_threshold_flags_the_same_share_after_the_map(threshold: float) -> None:
    """The new model gives half the probabilities; by the map the old threshold still holds."""
    random = np.random.default_rng(0)
    old = random.beta(0.5, 2, 4_000)
    new = np.clip(old / 2 + random.normal(0, 0.01, 4_000), 0, 1)

    mapped = applied(by_quantiles(new, old), new)

    assert (mapped >= threshold).mean() == pytest.approx((old >= threshold).mean(), abs=0.005)


def test_agreement_is_full_where_a_map_can_undo_the_difference() -> None:
    """Any monotone change of scale is undone."""
    ours = np.linspace(0, 1, 500)
    theirs = np.sqrt(ours)

    found = agreement(by_regression(ours[::2], theirs[::2]), ours[1::2], theirs[1::2])

    assert found["rank_correlation"] == 1
    assert found["mean_absolute_error"] < 0.02 < found["mean_absolute_error_unmapped"]
    assert min(found["agreement"].values()) > 0.98


def test_scores_that_are_all_one_have_no_rank() -> None:
    """No report can be written with a number that is none."""
    ours, same = np.linspace(0, 1, 10), np.full(10, 0.5)

    assert agreement(by_regression(ours, same), ours, same)["rank_correlation"] is None


@pytest.mark.parametrize(
    ("x", "y"), [([0, 1], [1, 0]), ([0, 0], [0, 1]), ([0, 0.5, 1], [0, 1]), ([0, 2], [0, 1])]
)
def test_what_is_no_monotone_map_is_refused(x: list[float], y: list[float]) -> None:
    """A bundle with such a map is not read."""
    with pytest.raises(ValidationError):
        ScoreMap(x=x, y=y)
