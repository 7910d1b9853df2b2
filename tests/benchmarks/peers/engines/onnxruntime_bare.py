"""ONNX Runtime alone: one single-threaded run a core, which beats one run on all of them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import onnxruntime

from benchmarks.peers.engines.engine import Engine
from benchmarks.peers.engines.sorted_batches import sorted_batches
from worker.batching import FREE, Padded
from worker.scoring.cores import usable_cores
from worker.scoring.engine import Logits

BUDGET: Final = 512  # tokens; as fast as 1,024, in half of the memory
LAYOUT: Final = FREE


def load(folder: Path, file: str) -> Engine:
    """Load one of the folder's ONNX files."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / file, options, ["CPUExecutionProvider"])
    pool = ThreadPoolExecutor(usable_cores())

    def run(batch: Padded) -> Logits:
        inputs = {"input_ids": batch.ids, "attention_mask": batch.mask}
        logits: Logits = session.run(["logits"], inputs)[0]
        return logits

    def infer(batches: Sequence[Padded]) -> list[Logits]:
        return list(pool.map(run, batches))

    return sorted_batches(folder, BUDGET, LAYOUT, infer)
