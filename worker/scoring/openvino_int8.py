"""The int8 engine for CPUs with VNNI: OpenVINO over the bundle's `model.int8.onnx`.

Its scales are static, so a comment's score does not lean on its neighbours in the batch.
One single-threaded request a core beats one request on all cores, save for the latency of
a lone comment: where that comes first, a second model in memory has it. bf16 serves what
stays unquantised, only where the CPU computes it.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import openvino as ov

from schemas.errors import ScoringError
from worker.batching import MicroBatch, padded
from worker.pulse import Pulse
from worker.scoring.cores import usable_cores
from worker.scoring.engine import Logits
from worker.scoring.give_way import new_threads_give_way
from worker.scoring.openvino_graph import part_products

# It builds a kernel for each new shape, and a quarter of its speed goes into building; padding
# to 8 costs 4 %.
GRID: Final = 8  # tokens

BUDGET: Final = 512  # tokens; flat to 2,048, worse at 256 and 4,096, and the smallest in memory

# Kernels that each stream keeps for shapes that come again, 15 a shape. Of its own 5,000 a process
# grows as it meets shapes; with 50 it builds them again and again (docs/performance.md).
KERNELS: Final = 500

# Micro-batches in line for each thread. OpenVINO goes on to the next by itself, and writes where it
# was told to: its threads never wait for Python's lock.
IN_LINE: Final = 4


class OpenVinoInt8:
    """The int8 graph on as many requests as there are threads.

    Args:
        model: path of `model.int8.onnx`.
        threads: requests at once, a thread each; None: one a core that we may use.
        pulse: beaten as micro-batches end, so that a hanging device shows.
        lone_first: whether a micro-batch that is alone is computed by all threads at once.

    Raises:
        ScoringError: the file cannot be compiled for this CPU.
    """

    grid = GRID
    budget = BUDGET

    def __init__(self, model: Path, threads: int | None, pulse: Pulse, *, lone_first: bool) -> None:
        self._pulse = pulse
        self.requests = threads or usable_cores()
        # Not in our thread. OpenVINO gives the one that loads it another stack for signals, and
        # takes back the one before when it goes: if that is gone, a SIGTERM ends the process.
        with new_threads_give_way(), ThreadPoolExecutor(1) as thread:
            thread.submit(self._load, model, lone_first=lone_first).result()

    def _load(self, model: Path, *, lone_first: bool) -> None:
        core = ov.Core()
        self._number_type = "bf16" if "BF16" in _capabilities(core) else "f32"
        try:
            graph = core.read_model(model)
            self._labels = graph.output(0).partial_shape[1].get_length()
            part_products(graph)
            self._together = self._queue(core, graph, self.requests)
            self._alone = self._together
            if lone_first and self.requests > 1:
                self._alone = self._queue(core, graph, 1)
        except RuntimeError as error:
            raise ScoringError(f"{model.name}: OpenVINO cannot compile it: {error}") from error

    def _queue(self, core: ov.Core, graph: ov.Model, requests: int) -> ov.AsyncInferQueue:
        """Compile the graph for so many requests at once, on all threads together."""
        config = {
            "INFERENCE_NUM_THREADS": self.requests,
            "NUM_STREAMS": requests,
            "INFERENCE_PRECISION_HINT": self._number_type,
            "ENABLE_CPU_PINNING": False,  # we share the cores: with Kafka's client, with others
            "CPU_RUNTIME_CACHE_CAPACITY": KERNELS,
        }
        compiled = core.compile_model(graph, "CPU", config)
        return ov.AsyncInferQueue(compiled, requests * IN_LINE)

    @property
    def description(self) -> str:
        """Engine, device and number type, for the log."""
        return f"openvino int8 with {self._number_type} on {self.requests} threads"

    def logits(self, batches: Sequence[MicroBatch]) -> list[Logits]:
        """Return the logits of each micro-batch, [pieces, labels], in order.

        Raises:
            ScoringError: the engine failed; the process must end.
        """
        results = []
        queue = self._alone if len(batches) == 1 else self._together
        try:
            for batch in batches:
                rows = padded(batch, GRID)
                logits = np.empty((len(rows.ids), self._labels), dtype=np.float32)
                inputs = {"input_ids": rows.ids, "attention_mask": rows.mask}
                request = queue[queue.get_idle_request_id()]  # the one that is started next
                request.set_output_tensor(ov.Tensor(logits, shared_memory=True))
                queue.start_async(inputs)
                results.append(logits[: len(batch)])  # rows behind them are the grid's
                self._pulse.beat()
            queue.wait_all()
        except RuntimeError as error:
            raise ScoringError(f"{self.description}: {type(error).__name__}") from error
        self._pulse.beat()
        return results


def _capabilities(core: ov.Core) -> Sequence[str]:
    return list(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
