"""What a swap of bundles would flip: label by label, at the thresholds that are set."""

from collections.abc import Mapping

import numpy as np

from schemas.bundle import ScoreMap
from trainer.bootstrap import Floats
from trainer.evaluate import Figures
from trainer.score_map import applied, by_quantiles


def swap(
    new: Mapping[str, Floats],
    old: Mapping[str, Floats],
    new_thresholds: Mapping[str, float],
    old_thresholds: Mapping[str, float],
) -> tuple[Figures, dict[str, ScoreMap]]:
    """Compare the decisions of two bundles on the same rows, and fit maps from new to old.

    The maps are fitted on the even rows; shares with a map are counted on the odd ones.

    Args:
        new: by label, [rows] probabilities of the bundle that is to come.
        old: the same of the one that serves.
        new_thresholds: by label, those of the bundle that is to come.
        old_thresholds: by label, those that are set now.

    Returns:
        For each label of both: `threshold` old and new; `flagged_before` and `flagged_after`
        (shares of the rows); `set` and `unset`: rows that only the new, only the old one flags;
        `kept_threshold`: the same two and the share if the old threshold stays, without a map
        and with it. And the maps, fitted on all rows.
    """
    figures = {
        label: _of_label(new[label], old[label], new_thresholds[label], old_thresholds[label])
        for label in new
        if label in old
    }
    return figures, {label: by_quantiles(new[label], old[label]) for label in figures}


def _of_label(new: Floats, old: Floats, new_threshold: float, old_threshold: float) -> Figures:
    score_map = by_quantiles(new[::2], old[::2])
    before, odd = old >= old_threshold, slice(1, None, 2)
    return {
        "threshold": {"old": old_threshold, "new": new_threshold},
        "flagged_before": _share(before),
        **_flips(before, new >= new_threshold),
        "kept_threshold": {
            "unmapped": _flips(before[odd], new[odd] >= old_threshold),
            "mapped": _flips(before[odd], applied(score_map, new[odd]) >= old_threshold),
            "flagged_before": _share(before[odd]),
        },
    }


def _flips(before: np.typing.NDArray[np.bool_], after: np.typing.NDArray[np.bool_]) -> Figures:
    return {
        "flagged_after": _share(after),
        "set": int((after & ~before).sum()),
        "unset": int((before & ~after).sum()),
    }


def _share(flagged: np.typing.NDArray[np.bool_]) -> float:
    return round(float(flagged.mean()), 4) if len(flagged) else 0.0
