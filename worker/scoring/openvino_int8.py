"""The int8 engine for CPUs with VNNI: OpenVINO over the bundle's `model.int8.onnx`.

Its scales are static, so a comment's score does not lean on its neighbours in the batch.
One single-threaded request a core beats one request on all cores, save for the latency of
a lone comment: where that comes first, a second model in memory has it. bf16 serves what
stays unquantised, only where the CPU computes it.
"""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import openvino as ov

from schemas.errors import ScoringError
from worker.batching import Layout, MicroBatch, rows_for
from worker.begun import Begun
from worker.pulse import Pulse
from worker.scoring.cores import usable_cores
from worker.scoring.engine import Logits
from worker.scoring.give_way import new_threads_give_way
from worker.scoring.openvino_graph import leave_keys_as_rows, part_products
from worker.scoring.openvino_rows import feeds, share_rows

# It builds kernels for each new shape, and is slower where one follows another, so shapes are few:
# on a grid of 8 it takes 55 to 70 MB more, and is no faster (docs/performance.md).
GRID: Final = 16  # tokens

BUDGET: Final = 512  # tokens; as fast as 1,024, in 40 MB less

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
        self._alone: _Line | None = None
        self._number_type = "bf16" if "BF16" in _capabilities(core) else "f32"
        try:
            graph = core.read_model(model)
            part_products(graph)
            leave_keys_as_rows(graph)
            if lone_first and self.requests > 1:
                self._alone = self._line(core, graph, Layout(GRID), 1)
            self.layout = Layout(GRID, shares=share_rows(graph))
            self._together = self._line(core, graph, self.layout, self.requests)
        except RuntimeError as error:
            raise ScoringError(f"{model.name}: OpenVINO cannot compile it: {error}") from error

    def _line(self, core: ov.Core, graph: ov.Model, layout: Layout, requests: int) -> "_Line":
        """Compile the graph for so many requests at once, on all threads together."""
        config = {
            "INFERENCE_NUM_THREADS": self.requests,
            "NUM_STREAMS": requests,
            "INFERENCE_PRECISION_HINT": self._number_type,
            "ENABLE_CPU_PINNING": False,  # we share the cores: with Kafka's client, with others
            "CPU_RUNTIME_CACHE_CAPACITY": KERNELS,
        }
        compiled = core.compile_model(graph, "CPU", config)
        return _Line(compiled, layout, requests * IN_LINE)

    @property
    def description(self) -> str:
        """Engine, device and number type, for the log."""
        return f"openvino int8 with {self._number_type} on {self.requests} threads"

    @property
    def is_idle(self) -> bool:
        """Whether all that was begun was waited for."""
        return self._together.is_idle and (self._alone is None or self._alone.is_idle)

    def logits(self, batches: Sequence[MicroBatch]) -> list[Logits]:
        """Return the logits of each micro-batch, [pieces, labels], in order.

        Raises:
            ScoringError: the engine failed; the process must end.
        """
        return self.begin(batches).result()

    def begin(self, batches: Sequence[MicroBatch]) -> Begun[list[Logits]]:
        """Begin to compute the logits of each micro-batch; more may be begun meanwhile.

        Raises:
            ScoringError: the engine failed; the process must end.
        """
        line = self._together
        if self._alone and line.is_idle and [len(row) for batch in batches for row in batch] == [1]:
            line = self._alone
        jobs = []
        try:
            for batch in batches:
                jobs.append(line.start(batch))
                self._pulse.beat()
        except RuntimeError as error:
            raise self._failed(error) from error

        def logits() -> list[Logits]:
            try:
                for job in jobs:
                    line.finish(job)
                    self._pulse.beat()
            except RuntimeError as error:
                raise self._failed(error) from error
            return [job.logits for job in jobs]

        return Begun(lambda: all(map(line.has_ended, jobs)), logits)

    def _failed(self, error: RuntimeError) -> ScoringError:
        return ScoringError(f"{self.description}: {type(error).__name__}")


class _Job:
    """A micro-batch on its way, and where its logits are written."""

    def __init__(
        self, request: ov.InferRequest, batch: MicroBatch, layout: Layout, labels: int
    ) -> None:
        pieces = sum(map(len, batch))
        logits = np.empty((rows_for(pieces, layout), labels), dtype=np.float32)
        request.set_output_tensor(ov.Tensor(logits, shared_memory=True))
        request.start_async(feeds(batch, layout))
        self.request = request
        self.logits: Logits = logits[:pieces]  # those behind them are the grid's


class _Line:
    """Micro-batches on their way through a compiled graph, so many at most.

    OpenVINO has a queue of its own, by which one cannot wait for some of them alone.
    """

    def __init__(self, compiled: ov.CompiledModel, layout: Layout, most: int) -> None:
        self._labels = compiled.output(0).get_partial_shape()[1].get_length()
        self._layout = layout
        self._free = [compiled.create_infer_request() for _ in range(most)]
        self._on_their_way: deque[_Job] = deque()

    @property
    def is_idle(self) -> bool:
        """Whether all that was started was waited for."""
        return not self._on_their_way

    def start(self, batch: MicroBatch) -> _Job:
        """Start a micro-batch; where no request is free, the first one ends before."""
        if not self._free:
            self.finish(self._on_their_way[0])
        job = _Job(self._free.pop(), batch, self._layout, self._labels)
        self._on_their_way.append(job)
        return job

    def has_ended(self, job: _Job) -> bool:
        """Say whether there is nothing to wait for."""
        try:
            return job not in self._on_their_way or job.request.wait_for(0)
        except RuntimeError:  # it has failed, and says so when it is waited for
            return True

    def finish(self, job: _Job) -> None:
        """Wait for a micro-batch, and for those that were started before it."""
        while job in self._on_their_way:
            first = self._on_their_way.popleft()
            first.request.wait()
            self._free.append(first.request)


def _capabilities(core: ov.Core) -> Sequence[str]:
    return list(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
