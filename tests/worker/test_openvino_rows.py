"""The shipped graph over rows that pieces share: each has the logits that it has by itself."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis.strategies import integers, lists
from numpy.typing import NDArray
from openvino import opset13 as ops

from schemas.bundle import INT8_MODEL
from worker.batching import Layout, MicroBatch
from worker.bundle import open_bundle
from worker.pulse import Pulse
from worker.scoring.load import int8_engine
from worker.scoring.openvino_rows import feeds, share_rows
from worker.settings import EngineChoice, Settings

ALONE = Layout(16)
SHARED = Layout(16, shares=True)
PIECE = lists(integers(1_000, 20_000), min_size=1, max_size=30).map(lambda ids: [101, *ids, 102])
ROWS = lists(lists(PIECE, min_size=1, max_size=4), min_size=1, max_size=5)


def shipped() -> ov.Model:
    """Return the shipped graph."""
    bundle = open_bundle(Settings().bundle, allow_unsigned=False)
    return ov.Core().read_model(bundle.folder / INT8_MODEL)


def compiled(graph: ov.Model) -> ov.CompiledModel:
    """Compile a graph with numbers that do not hide small differences."""
    return ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


@pytest.fixture(scope="module")
def alone() -> ov.CompiledModel:
    """Return the graph as it is in the file."""
    return compiled(shipped())


@pytest.fixture(scope="module")
def shared() -> ov.CompiledModel:
    """Return the graph over shared rows."""
    graph = shipped()
    assert share_rows(graph)
    return compiled(graph)


def logits(graph: ov.CompiledModel, batch: MicroBatch, layout: Layout) -> NDArray[np.float32]:
    """Return the logits of the pieces, [pieces, labels]."""
    found: NDArray[np.float32] = graph(feeds(batch, layout))[0]
    return found[: sum(map(len, batch))]


@examples(max_examples=30)
@given(batch=ROWS)
def test_a_piece_has_the_logits_that_it_has_in_a_row_of_its_own(
    batch: list[list[list[int]]], alone: ov.CompiledModel, shared: ov.CompiledModel
) -> None:
    """Wherever in a row it lies, behind and before whatever."""
    by_itself = [logits(alone, [[piece]], ALONE)[0] for row in batch for piece in row]

    found = logits(shared, batch, SHARED)

    np.testing.assert_allclose(found, by_itself, atol=0.05)  # bytes may round otherwise


def test_a_row_may_be_longer_than_any_piece(
    alone: ov.CompiledModel, shared: ov.CompiledModel
) -> None:
    """Here than the table of positions; a bundle for short pieces has a small one."""
    piece = [101, *range(2_000, 2_028), 102]

    found = logits(shared, [[piece] * 20], SHARED)

    np.testing.assert_allclose(found, [logits(alone, [[piece]], ALONE)[0]] * 20, atol=0.05)


def test_a_neighbour_that_is_changed_changes_nothing(shared: ov.CompiledModel) -> None:
    """To the bit: attention gives it a weight of zero."""
    rude, other = [101, 2017, 2024, 9643, 102], [101, 2748, 102]
    kind, long = [101, 4067, 2017, 102], [101, *[9643] * 40, 102]

    found = logits(shared, [[rude, kind, long], [rude]], SHARED)
    changed = logits(shared, [[rude, other, long[:-1], kind[1:2]], [rude]], SHARED)

    np.testing.assert_array_equal(found[0], changed[0])
    np.testing.assert_allclose(found[0], found[3], atol=0.05)
    assert np.abs(found[0] - found[1]).max() > 1, "they differ"


def test_another_encoders_graph_stays_as_it_is(tmp_path: Path) -> None:
    """Its positions or its last layer are others; the engine gives each piece its row."""
    ids, mask = (ops.parameter([-1, -1], np.int64, name=name) for name in ("input_ids", "mask"))
    ids.output(0).set_names({"input_ids"})
    mask.output(0).set_names({"attention_mask"})
    ends = ops.reduce_sum(ops.multiply(ids, mask), ops.constant(np.int64(1)), keep_dims=True)
    six = ops.multiply(ops.convert(ends, np.float32), ops.constant(np.ones((1, 6), np.float32)))
    graph = ov.Model([six], [ids, mask], "other")

    assert not share_rows(graph)
    assert [found.any_name for found in graph.inputs] == ["input_ids", "attention_mask"]

    ov.save_model(graph, tmp_path / "model.xml", compress_to_fp16=False)
    engine = int8_engine(EngineChoice.OPENVINO, tmp_path / "model.xml", 2, Pulse())
    (found,) = engine.logits([[[[1, 2, 3]], [[4]]]])
    assert engine.layout == ALONE
    np.testing.assert_array_equal(found, [[6] * 6, [4] * 6])


def test_the_shipped_bundle_shares_rows() -> None:
    """It is a BERT."""
    bundle = open_bundle(Settings().bundle, allow_unsigned=False)

    assert (
        int8_engine(EngineChoice.OPENVINO, bundle.folder / INT8_MODEL, 2, Pulse()).layout == SHARED
    )
