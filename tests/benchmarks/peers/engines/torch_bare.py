"""Torch alone on the model as transformers loads it, padded in batches of like length."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from transformers import AutoModelForSequenceClassification

from benchmarks.peers.engines.engine import Engine
from benchmarks.peers.engines.sorted_batches import sorted_batches
from worker.batching import Layout, Padded
from worker.scoring.engine import Logits

BUDGET: Final = 1_024  # tokens, at which torch is at its best on a few cores
LAYOUT: Final = Layout(8)


def load(folder: Path, number_type: str) -> Engine:
    """Load the float weights as `float32` or `bfloat16`."""
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=getattr(torch, number_type)
    ).eval()

    def infer(batches: Sequence[Padded]) -> list[Logits]:
        with torch.inference_mode():
            return [
                model(torch.from_numpy(batch.ids), torch.from_numpy(batch.mask))
                .logits.float()
                .numpy()
                for batch in batches
            ]

    return sorted_batches(folder, BUDGET, LAYOUT, infer)
