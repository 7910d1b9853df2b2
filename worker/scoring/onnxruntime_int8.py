"""The int8 engine for CPUs without VNNI: ONNX Runtime over the bundle's `model.int8.onnx`.

The same file with the same static scales as OpenVINO's, and the faster engine on such a CPU
(docs/performance.md). One single-threaded run a core beats one run on all cores, but
for a micro-batch that is alone: all cores have it in two thirds of the time.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import Any, Final

import onnxruntime

from schemas.errors import ScoringError
from worker.batching import FREE, MicroBatch, padded
from worker.begun import Begun
from worker.pulse import Pulse
from worker.scoring.cores import usable_cores
from worker.scoring.engine import Logits
from worker.scoring.give_way import give_way

LAYOUT: Final = FREE  # it does not care for shapes
BUDGET: Final = 512  # tokens; as fast as 1,024, in half of the memory
ERRORS_ONLY: Final = 3  # what it logs goes past our log, to stderr
# A run's threads wait for each other awake, and sleep when it ends: idle costs nothing. A broker
# on the same cores waits longer, and with it a worker's comments (docs/performance.md).
AWAKE: Final = {"session.intra_op.allow_spinning": "1", "session.force_spinning_stop": "1"}
ASLEEP: Final = {"session.intra_op.allow_spinning": "0"}
SETTINGS: Final = {
    # GELU by tanh, a third faster: int8 comes out as near to the float model as without it.
    "optimization.enable_gelu_approximation": "1",
}
SLOWER: Final = ["SkipLayerNormFusion"]  # its one operator takes five times the two that it fuses


class OnnxRuntimeInt8:
    """The int8 graph, run by as many threads as asked for.

    Args:
        model: path of `model.int8.onnx`.
        threads: runs at once, a thread each; None: one a core that we may use.
        pulse: beaten as micro-batches end, so that a hanging device shows.
        lone_first: whether the threads of a micro-batch that is alone wait for each other awake.

    Raises:
        ScoringError: the file cannot be loaded.
    """

    layout = LAYOUT
    budget = BUDGET

    def __init__(self, model: Path, threads: int | None, pulse: Pulse, *, lone_first: bool) -> None:
        self._pulse = pulse
        self.requests = threads or usable_cores()
        self._together = _session(model, 1, ASLEEP)
        self._alone = self._together
        if self.requests > 1:
            self._alone = _session(model, self.requests, AWAKE if lone_first else ASLEEP)
        self._begun: Sequence[
            Future[Logits]
        ] = ()  # last; who begins a third has waited for the first
        self._waiting: SimpleQueue[tuple[Future[Logits], Callable[[], Logits]]] = SimpleQueue()
        for number in range(self.requests):
            # Daemons, which the executors of the standard library are not: one that hangs must
            # not keep the process from ending.
            Thread(target=self._work, name=f"onnxruntime-{number}", daemon=True).start()

    @property
    def description(self) -> str:
        """Engine, device and number type, for the log."""
        return f"onnxruntime int8 with f32 on {self.requests} threads"

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to compute."""
        return all(result.done() for result in self._begun)

    def logits(self, batches: Sequence[MicroBatch]) -> list[Logits]:
        """Return the logits of each micro-batch, [pieces, labels], in order.

        Raises:
            ScoringError: the engine failed; the process must end.
        """
        return self.begin(batches).result()

    def begin(self, batches: Sequence[MicroBatch]) -> Begun[list[Logits]]:
        """Begin to compute the logits of each micro-batch; more may be begun meanwhile."""
        caller = current_thread().name
        session = self._alone if len(batches) == 1 and self.is_idle else self._together

        def run(batch: MicroBatch) -> Logits:
            rows = padded(batch, LAYOUT)
            inputs = {"input_ids": rows.ids, "attention_mask": rows.mask}
            logits: Logits = session.run(["logits"], inputs)[0]
            self._pulse.beat(caller)
            return logits

        results: list[Future[Logits]] = [Future() for _ in batches]
        self._begun = results
        for result, batch in zip(results, batches, strict=True):
            self._waiting.put((result, partial(run, batch)))

        def logits() -> list[Logits]:
            try:
                return [result.result() for result in results]
            except Exception as error:
                raise ScoringError(f"{self.description}: {type(error).__name__}") from error

        return Begun(lambda: all(result.done() for result in results), logits)

    def _work(self) -> None:
        """Compute what waits, for ever; what goes wrong is the asking thread's to say."""
        give_way()
        while True:
            result, compute = self._waiting.get()
            try:
                result.set_result(compute())
            except BaseException as error:  # noqa: BLE001 - handed on, whatever it is
                result.set_exception(error)


def _session(model: Path, threads: int, waiting: Mapping[str, str]) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    for name, value in {**SETTINGS, **waiting}.items():
        options.add_session_config_entry(name, value)
    options.enable_mem_pattern = False  # it keeps a plan for each shape that it meets
    options.log_severity_level = ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(
            model, options, ["CPUExecutionProvider"], disabled_optimizers=SLOWER
        )
    except Exception as error:  # its errors have no type of their own in common
        raise ScoringError(f"{model.name}: ONNX Runtime cannot load it: {error}") from error
