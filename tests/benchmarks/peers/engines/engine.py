"""What an engine is to this benchmark, and what several of them share."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from schemas.bundle import CONFIG

Scores = list[list[float]]  # [comments][labels], in the order of the bundle's labels
Engine = Callable[[Sequence[str]], Scores]


def labels_of(folder: Path) -> list[str]:
    """Return the labels of a model's folder in the order of its logits."""
    names = json.loads((folder / CONFIG).read_bytes())["id2label"]
    return [names[number] for number in sorted(names, key=int)]


def in_order(found: Iterable[Mapping[str, Any]], labels: Sequence[str]) -> list[float]:
    """Return the scores of one comment, as transformers' pipeline names them, in label order."""
    scores = {entry["label"]: float(entry["score"]) for entry in found}
    return [scores[label] for label in labels]
