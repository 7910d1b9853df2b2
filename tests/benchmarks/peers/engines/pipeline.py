"""The afternoon loop's scorer: `transformers.pipeline`, as its documentation has it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import pipeline

from benchmarks.peers.engines.engine import Engine, Scores, in_order, labels_of


def load(folder: Path, batch: int) -> Engine:
    """Load the pipeline; `batch` 1 is a call for each comment, as a loop over messages makes it."""
    labels = labels_of(folder)
    pipe: Any = pipeline(
        "text-classification",
        model=str(folder),
        device="cpu",
        top_k=None,
        function_to_apply="sigmoid",
        truncation=True,
    )

    def one_by_one(texts: Sequence[str]) -> Scores:
        return [in_order(pipe([text])[0], labels) for text in texts]

    def in_batches(texts: Sequence[str]) -> Scores:
        return [in_order(found, labels) for found in pipe(list(texts), batch_size=batch)]

    return one_by_one if batch == 1 else in_batches
