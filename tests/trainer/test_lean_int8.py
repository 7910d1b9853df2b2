"""The rewritten int8 graph says the same to the bit, and engines compute it in int8."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto

from trainer import graph, quantise
from trainer.data import Rows, read_files
from trainer.dataset import CommentDataset
from trainer.lean_int8 import make_lean
from trainer.model import load_model, load_tokenizer
from trainer.normalise import with_cleaning

LABELS = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")


@pytest.fixture(scope="module")
def as_nncf_wrote_it(
    made_file: Path, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> ModelProto:
    """The int8 graph of a tiny BERT, before it is rewritten."""
    folder = tmp_path_factory.mktemp("int8")
    rows: Rows = read_files([made_file]).take(range(40))
    comments = CommentDataset(rows, with_cleaning(load_tokenizer(str(tiny_base))), 48)
    model = load_model(str(tiny_base), LABELS)
    by_chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if name.endswith("bias"):  # where all are the same, the file has them once, for all
                weights.uniform_(-0.1, 0.1, generator=by_chance)
    graph.write_onnx(model, folder / "float.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantise, "make_lean", lambda _: None)
        quantise.write_int8(folder / "float.onnx", folder / "int8.onnx", comments)
    return onnx.load(folder / "int8.onnx")


@pytest.fixture(scope="module")
def lean(as_nncf_wrote_it: ModelProto) -> ModelProto:
    """The same, rewritten."""
    model = ModelProto()
    model.CopyFrom(as_nncf_wrote_it)
    make_lean(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def computed(model: ModelProto, **options: Any) -> Any:
    """Return logits of four rows of which three are filled up, by ONNX Runtime."""
    settings = onnxruntime.SessionOptions()
    for name, value in options.items():
        setattr(settings, name, value)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), settings, ["CPUExecutionProvider"]
    )
    ids = np.random.default_rng(0).integers(5, 200, (4, 40))
    mask = (np.arange(40) < np.array([[40], [20], [3], [1]])).astype(np.int64)
    (logits,) = session.run(["logits"], {"input_ids": ids, "attention_mask": mask})
    return logits


def test_it_says_the_same_to_the_bit(as_nncf_wrote_it: ModelProto, lean: ModelProto) -> None:
    """Where the engine computes each node as it is written, and fuses none."""
    as_written = {
        "graph_optimization_level": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    }

    before, after = computed(as_nncf_wrote_it, **as_written), computed(lean, **as_written)

    assert np.array_equal(before, after)
    assert np.ptp(before, axis=0).min() > 0, "a model that says the same of all proves nothing"


def test_onnx_runtime_computes_query_key_and_value_in_int8(
    as_nncf_wrote_it: ModelProto, lean: ModelProto, tmp_path: Path
) -> None:
    """As NNCF writes them it dequantises their weights for each batch, and embeddings whole."""

    def fused(model: ModelProto) -> ModelProto:
        path = tmp_path / "fused.onnx"
        computed(model, optimized_model_filepath=str(path), log_severity_level=3)
        return onnx.load(path)

    def dequantised(model: ModelProto) -> list[str]:
        constants = {constant.name: constant.dims for constant in model.graph.initializer}
        return [
            node.name
            for node in fused(model).graph.node
            if node.op_type == "DequantizeLinear" and len(constants.get(node.input[0], ())) > 1
        ]

    assert dequantised(as_nncf_wrote_it)
    assert dequantised(lean) == []


def test_a_graph_that_was_rewritten_stays_as_it_is(lean: ModelProto) -> None:
    """Nothing is left to merge, and nothing is written twice."""
    again = ModelProto()
    again.CopyFrom(lean)
    make_lean(again)

    assert [n.output for n in lean.graph.node] == [n.output for n in again.graph.node]
    assert {c.name for c in lean.graph.initializer} == {c.name for c in again.graph.initializer}


FLOATS = """
    g (float[2, 2] x) => (float[2, 2] y)
    <float[2, 2] a = {1, 2, 3, 4}, float[2, 2] b = {1, 2, 3, 4}>
    { p = MatMul(x, a) q = MatMul(x, b) y = Add(p, q) }
"""
ONE_SCALE = """
    g (float[2, 2] x) => (float[2, 2] y)
    <int8[2, 2] w = {1, 2, 3, 4}, float s = {0.5}, int8 z = {0}, float[2] c = {1, 2}>
    {
        a = DequantizeLinear(w, s, z) b = DequantizeLinear(w, s, z)
        p = MatMul(x, a) q = MatMul(x, b) pc = Add(p, c) qc = Add(q, c) y = Add(pc, qc)
    }
"""
NO_ZERO_POINT = """
    g (int64[3] i) => (float[3, 2] y)
    <int8[2, 2] w = {1, 2, 3, 4}, float[2] s = {0.5, 0.25}>
    { a = DequantizeLinear<axis = 0>(w, s) y = Gather(a, i) }
"""
ZERO_POINTS = """
    g (int64[3] i) => (float[3, 2] y)
    <int8[2, 2] w = {1, 2, 3, 4}, float[2] s = {0.5, 0.25}, int8[2] z = {0, 1}>
    { a = DequantizeLinear<axis = 0>(w, s, z) y = Gather(a, i) }
"""
BY_COLUMNS = """
    g (int64[3] i) => (float[3, 2] y)
    <int8[2, 2] w = {1, 2, 3, 4}, float[2] s = {0.5, 0.25}, int8[2] z = {0, 0}>
    { a = DequantizeLinear<axis = 1>(w, s, z) y = Gather(a, i) }
"""


@pytest.mark.parametrize("graph", [FLOATS, ONE_SCALE, NO_ZERO_POINT, ZERO_POINTS, BY_COLUMNS])
def test_a_graph_of_another_form_is_left_alone(graph: str) -> None:
    """Floats, a scale for a whole matrix, zero points that are missing or not zero."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {graph}')
    onnx.checker.check_model(model)
    before = model.SerializeToString()

    make_lean(model)

    assert model.SerializeToString() == before
