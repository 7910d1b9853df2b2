"""OpenVINO alone, for throughput: as many streams as there are cores, asked asynchronously."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import openvino

from benchmarks.peers.engines.engine import Engine
from benchmarks.peers.engines.sorted_batches import sorted_batches
from worker.batching import Layout, Padded
from worker.scoring.cores import usable_cores
from worker.scoring.engine import Logits

BUDGET: Final = 512  # tokens; flat to 2,048
LAYOUT: Final = Layout(16)  # in rows of one piece 1.02 to 1.05 times as fast as on a grid of 8


def load(folder: Path, file: str, number_type: str | None = None) -> Engine:
    """Load one of the folder's ONNX files.

    Args:
        folder: the bundle.
        file: of it.
        number_type: of what is not int8: `f32`, `bf16`, or None: the best for this CPU.
    """
    core = openvino.Core()
    config: dict[str, Any] = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": usable_cores(),
    }
    if number_type is not None:
        config["INFERENCE_PRECISION_HINT"] = number_type
    requests = openvino.AsyncInferQueue(core.compile_model(folder / file, "CPU", config))

    def infer(batches: Sequence[Padded]) -> list[Logits]:
        found: dict[int, Logits] = {}

        def take(request: Any, number: int) -> None:
            found[number] = np.array(request.get_output_tensor(0).data, dtype=np.float32)

        requests.set_callback(take)
        for number, batch in enumerate(batches):
            requests.start_async({"input_ids": batch.ids, "attention_mask": batch.mask}, number)
        requests.wait_all()
        return [found[number] for number in range(len(batches))]

    return sorted_batches(folder, BUDGET, LAYOUT, infer)
