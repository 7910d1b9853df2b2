"""Float ONNX to int8 ONNX, and what the difference is.

Static scales in QDQ form: a comment's score does not lean on its neighbours in the batch, and
one file serves OpenVINO and ONNX Runtime. Weights and embeddings are stored as int8 with a
scale for each channel. The first row's attention, pooler and head stay in float: they cost
nothing there, and in int8 they doubled the difference. So do query and key on their way to each
other: their product is no faster in int8, and OpenVINO 2026.4 with AMX and bf16 computes it wrong
where a row has exactly 32 places (docs/performance.md).
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import openvino
import torch
from numpy.typing import NDArray

from trainer.calibrate import Floats
from trainer.data import Labels, is_set
from trainer.dataset import CommentDataset, loader
from trainer.graph import INPUTS, OUTPUT
from trainer.lean_int8 import make_lean

Ids = NDArray[np.int64]
Run = Callable[[Ids, Ids], Any]

EXAMPLES: Final = 300  # comments from which the scales are taken
FEW_EXAMPLES: Final = 50  # are enough to show that all of it works
FOR_EACH_LABEL: Final = 1 / 12  # of the examples at least, where there are as many
KEEP_FLOAT: Final = (
    "/first_row/.*",
    "/pooler/.*",
    "/classifier/.*",
    "/model/(pre_classifier|head|classifier)/.*",  # of other encoders
    "/model/.*/token_type_embeddings/.*",  # RoBERTa's has one row, of which OpenVINO makes nothing
)


def examples(labels: Labels, most: int = EXAMPLES) -> list[int]:
    """Choose the rows from which the scales are taken: some of each label, the rest by chance.

    From rows in their order, few of them rude, the largest difference on the golden comments
    was 0.24; from rows chosen so it was a third of that.

    Args:
        labels: [rows, labels] in 0..1, NaN where not known.
        most: rows.
    """
    of_each_label = round(most * FOR_EACH_LABEL)
    order = np.random.default_rng(0).permutation(len(labels))
    chosen = dict.fromkeys(
        int(i) for column in labels.T for i in order[is_set(column[order])][:of_each_label]
    )
    chosen |= dict.fromkeys(order.tolist())
    return list(chosen)[:most]


def write_int8(float_model: Path, path: Path, comments: CommentDataset) -> None:
    """Quantise an ONNX file, with scales from these comments; each takes a tenth of a second."""
    # takes seconds to import, and patches torch when it does
    import nncf  # noqa: PLC0415
    from nncf.quantization.advanced_parameters import (  # noqa: PLC0415
        AdvancedQuantizationParameters,
        OverflowFix,
    )
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet  # noqa: PLC0415

    items = [
        dict(zip(INPUTS, (ids[None].numpy(), np.ones((1, len(ids)), np.int64)), strict=True))
        for ids in (comments[i].ids for i in range(len(comments)))
    ]
    logging.getLogger("nncf").setLevel(logging.WARNING)
    in_float = onnx.load(float_model)
    with contextlib.redirect_stdout(sys.stderr):  # its progress bars; our stdout is for data
        quantised = nncf.quantize(
            in_float,
            nncf.Dataset(items),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(items),
            advanced_parameters=AdvancedQuantizationParameters(
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
                # A processor without VNNI adds two products in 16 bits, which overflow: weights
                # keep to half their range, so that one file says the same everywhere.
                overflow_fix=OverflowFix.ENABLE,
            ),
            ignored_scope=nncf.IgnoredScope(
                names=products_of_activations(in_float), patterns=list(KEEP_FLOAT), validate=False
            ),
        )
    make_lean(quantised)
    onnx.save(quantised, path)


def products_of_activations(model: onnx.ModelProto) -> list[str]:
    """Return the names of the products that have no weights: attention's."""
    constant = {each.name for each in model.graph.initializer}
    found = []
    for node in model.graph.node:  # what a node uses was made before it
        if constant.issuperset(node.input):
            constant.update(node.output)
        elif node.op_type == "MatMul" and constant.isdisjoint(node.input):
            found.append(node.name)
    return found


class Int8Engine:
    """The int8 file as a worker's engine runs it: as many batches at once as there are threads.

    Args:
        runs: one for each thread. Each gives [rows, labels] logits for [rows, width] ids and mask.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._threads = len(runs)
        self._idle: SimpleQueue[Run] = SimpleQueue()
        for run in runs:
            self._idle.put(run)

    def logits(self, dataset: CommentDataset, budget: int) -> Floats:
        """Score in batches of like length: [rows, labels] in the order of the dataset."""
        batches = loader(dataset, budget)
        order = [i for batch in batches.batch_sampler or () for i in batch]
        scored = self._scored((batch.ids.numpy(), batch.mask.numpy()) for batch in batches)
        back: Floats = scored[np.argsort(order)]
        return back

    def logits_alone(self, dataset: CommentDataset, indices: Sequence[int]) -> Floats:
        """Score comments one at a time: [indices, labels]."""
        alone = (dataset[i].ids[None].numpy() for i in indices)
        return self._scored((ids, np.ones_like(ids)) for ids in alone)

    def _scored(self, batches: Iterable[tuple[Ids, Ids]]) -> Floats:
        with ThreadPoolExecutor(self._threads) as pool:
            return np.concatenate(list(pool.map(self._floats, batches)))

    def _floats(self, batch: tuple[Ids, Ids]) -> Floats:
        run = self._idle.get()
        try:
            found: Floats = run(*batch).astype(np.float64)
        finally:
            self._idle.put(run)
        return found


def by_openvino(path: Path, number_type: str = "f32") -> Int8Engine:
    """Return OpenVINO on the file; what is not int8 it computes in that number type.

    It is loaded in a thread of its own: OpenVINO gives the thread that loads it another stack for
    signals, and takes back the one before when it goes. Of two models whose first dies first that
    one is gone, and the next signal, a SIGTERM say, would end the process by SIGSEGV.
    """
    threads = torch.get_num_threads()
    settings = {
        "INFERENCE_PRECISION_HINT": number_type,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads,
    }

    def load() -> list[Run]:
        model = openvino.Core().compile_model(path, "CPU", settings)
        runs = [_run_of(model.create_infer_request()) for _ in range(threads)]
        empty = np.zeros((1, 2), np.int64)
        runs[0](empty, np.ones_like(empty))  # two threads that infer first at once may hang
        return runs

    with ThreadPoolExecutor(1) as thread:
        return Int8Engine(thread.submit(load).result())


def _run_of(request: openvino.InferRequest) -> Run:
    return lambda ids, mask: request.infer(dict(zip(INPUTS, (ids, mask), strict=True)))[OUTPUT]


def by_onnxruntime(path: Path) -> Int8Engine:
    """Return ONNX Runtime on the file, with what changes numbers set as a worker sets it."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("optimization.enable_gelu_approximation", "1")
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        path, options, ["CPUExecutionProvider"], disabled_optimizers=["SkipLayerNormFusion"]
    )

    def run(ids: Ids, mask: Ids) -> Any:
        return session.run([OUTPUT], dict(zip(INPUTS, (ids, mask), strict=True)))[0]

    return Int8Engine([run] * torch.get_num_threads())  # of one session many may run at once


def engines(path: Path) -> dict[str, Int8Engine]:
    """Return all engines that may serve the file on this CPU, by a name for the card."""
    optimal = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    number_types = ("bf16", "f32") if "BF16" in optimal else ("f32",)
    found = {f"OpenVINO, {each}": by_openvino(path, each) for each in number_types}
    return found | {"ONNX Runtime, f32": by_onnxruntime(path)}


def difference(
    reference: Floats, found: Floats, thresholds: Sequence[float]
) -> dict[str, float | int]:
    """Compare calibrated probabilities, [rows, labels] each, and the decisions they lead to."""
    flips = (reference >= thresholds) != (found >= thresholds)
    return {
        "max_abs": round(float(np.abs(found - reference).max()), 4),
        "mean_abs": round(float(np.abs(found - reference).mean()), 5),
        "flips": int(flips.sum()),
        "decisions": int(flips.size),
    }
