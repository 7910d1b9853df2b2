"""A swap: what flips is counted both ways."""

import numpy as np

from trainer.swap import swap


def test_flips_are_counted_both_ways_and_the_map_takes_back_a_change_of_scale() -> None:
    """The new bundle has half the probabilities: an old threshold needs the map."""
    old = np.linspace(0, 1, 1_000)
    new = old / 2

    figures, maps = swap(
        {"toxic": new}, {"toxic": old, "insult": old}, {"toxic": 0.3}, {"toxic": 0.5}
    )

    found = figures["toxic"]
    assert found["flagged_before"] == 0.5
    assert (found["set"], found["unset"]) == (0, 100)
    assert found["kept_threshold"]["unmapped"]["unset"] == 249
    assert found["kept_threshold"]["mapped"]["flagged_after"] == 0.5
    assert set(maps) == {"toxic"}


def test_a_bundle_swapped_for_itself_flips_nothing() -> None:
    """With the map or without."""
    scores = np.random.default_rng(0).random(500)

    found = swap({"toxic": scores}, {"toxic": scores}, {"toxic": 0.4}, {"toxic": 0.4})[0]["toxic"]

    assert (found["set"], found["unset"]) == (0, 0)
    assert found["kept_threshold"]["unmapped"]["unset"] == 0
    assert found["kept_threshold"]["mapped"]["unset"] <= 1
