"""Perspective's scale: comments that it has scored itself, and the map from ours to its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from schemas.bundle import ScoreMap
from schemas.errors import CommentsFileError
from trainer.archives import contents
from trainer.bootstrap import Floats
from trainer.columns import TEXT_COLUMNS
from trainer.evaluate import Figures
from trainer.files import records
from trainer.score_map import agreement, by_regression

NAME: Final = "perspective"  # of the map in a bundle
# under which names the file has our labels; the first that is there
COLUMNS: Final = {
    "toxic": ("TOXICITY@6", "TOXICITY"),
    "severe_toxic": ("SEVERE_TOXICITY@2", "SEVERE_TOXICITY"),
    "obscene": ("PROFANITY", "OBSCENE"),
    "threat": ("THREAT",),
    "insult": ("INSULT",),
    "identity_hate": ("IDENTITY_ATTACK",),
}


def read_perspective(path: Path) -> tuple[list[str], dict[str, Floats]]:
    """Read comments with Perspective's scores, by our labels: n texts and [n] for each label.

    Raises:
        CommentsFileError: the file cannot be read, has no text or score column, or a score that
            is no number from 0 to 1.
    """
    every = [record for stored in contents(path) for record in records(stored)]
    there = every[0].values.keys() if every else set[str]()
    text = next((column for column in TEXT_COLUMNS if column in there), None)
    columns = {
        label: column
        for label, names in COLUMNS.items()
        for column in [next((name for name in names if name in there), None)]
        if column
    }
    if text is None or not columns:
        raise CommentsFileError(
            f"{path}: no column of texts, or none of Perspective's scores",
            "name them comment_text, and TOXICITY, THREAT, …",
        )
    scores = {
        label: np.asarray(
            [_score(record.values.get(column), column, record.place) for record in every]
        )
        for label, column in columns.items()
    }
    return [str(record.values.get(text, "")) for record in every], scores


def perspective(
    ours: Mapping[str, Floats], theirs: Mapping[str, Floats]
) -> tuple[Figures, dict[str, ScoreMap]]:
    """Fit the map of each label on half of the comments, and test it on the other half.

    Args:
        ours: by label, [rows] probabilities.
        theirs: by label, [rows] Perspective's scores.

    Returns:
        By label, what `agreement` says of the half that was not fitted on; and the maps.
    """
    figures, maps = {}, {}
    for label in ours.keys() & theirs.keys():
        order = np.random.default_rng(0).permutation(len(ours[label]))
        fitted, tested = order[::2], order[1::2]
        maps[label] = by_regression(ours[label][fitted], theirs[label][fitted])
        figures[label] = agreement(maps[label], ours[label][tested], theirs[label][tested])
    in_order = [label for label in COLUMNS if label in figures]
    return {label: figures[label] for label in in_order}, {label: maps[label] for label in in_order}


def _score(value: object, column: str, place: str) -> float:
    try:
        score = float(str(value))
    except ValueError:
        score = float("nan")
    if not 0 <= score <= 1:
        raise CommentsFileError(f"{place}: {column} is no number from 0 to 1", "mend the row")
    return score
