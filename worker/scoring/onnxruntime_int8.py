"""The int8 engine for CPUs without VNNI: ONNX Runtime over the bundle's `model.int8.onnx`.

The same file with the same static scales as OpenVINO's, and on such a CPU twice its speed
(docs/performance-benchmarks.md). One single-threaded run a core beats one run on all cores.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import current_thread
from typing import Final

import onnxruntime

from schemas.errors import ScoringError
from worker.batching import MicroBatch, padded
from worker.pulse import Pulse
from worker.scoring.cores import usable_cores
from worker.scoring.engine import Logits

GRID: Final = 1  # token: it does not care for shapes
BUDGET: Final = 512  # tokens; as fast as 1,024, in half of the memory
ERRORS_ONLY: Final = 3  # what it logs goes past our log, to stderr


class OnnxRuntimeInt8:
    """The int8 graph, run by as many threads as asked for.

    Args:
        model: path of `model.int8.onnx`.
        threads: runs at once, a thread each; None: one a core that we may use.
        pulse: beaten as micro-batches end, so that a hanging device shows.

    Raises:
        ScoringError: the file cannot be loaded.
    """

    grid = GRID
    budget = BUDGET

    def __init__(self, model: Path, threads: int | None, pulse: Pulse) -> None:
        self._pulse = pulse
        self.requests = threads or usable_cores()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_mem_pattern = False  # it keeps a plan for each shape that it meets
        options.log_severity_level = ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        except Exception as error:  # its errors have no type of their own in common
            raise ScoringError(f"{model.name}: ONNX Runtime cannot load it: {error}") from error
        self._threads = ThreadPoolExecutor(self.requests, thread_name_prefix="onnxruntime")

    @property
    def description(self) -> str:
        """Engine, device and number type, for the log."""
        return f"onnxruntime int8 with f32 on {self.requests} threads"

    def logits(self, batches: Sequence[MicroBatch]) -> list[Logits]:
        """Return the logits of each micro-batch, [pieces, labels], in order.

        Raises:
            ScoringError: the engine failed; the process must end.
        """
        caller = current_thread().name

        def run(batch: MicroBatch) -> Logits:
            rows = padded(batch, GRID)
            inputs = {"input_ids": rows.ids, "attention_mask": rows.mask}
            logits: Logits = self._session.run(["logits"], inputs)[0]
            self._pulse.beat(caller)
            return logits

        try:
            return list(self._threads.map(run, batches))
        except Exception as error:
            raise ScoringError(f"{self.description}: {type(error).__name__}") from error
