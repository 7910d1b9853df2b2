"""The bundle's graph over rows that pieces share, where no token looks at another piece's.

Rows of one piece each are of as many widths as pieces are, and OpenVINO takes longer for a
micro-batch whose shape differs from the one before. Rows filled with pieces are of few shapes, and
there is little that fills them up otherwise. Three things change in the graph: positions start
anew with each piece, attention keeps to the piece, and before the last layer, which computes
`[CLS]` alone, each piece gets a row of its own (docs/performance.md).
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from worker.batching import Layout, MicroBatch, padded, shared
from worker.scoring.openvino_graph import source

# The names are the file's (trainer/graph.py).
POSITIONS: Final = "/embeddings/position_embeddings/"
TYPES: Final = "/embeddings/token_type_embeddings/"
LAST_LAYER: Final = "/first_row/"
HIDDEN: Final = -10_000.0  # what the file adds to a score where attention must not look


def share_rows(model: ov.Model) -> bool:
    """Let pieces share rows, in place: the inputs are `worker.batching.Shared`'s from then on.

    Returns:
        Whether they can: in the graph of a BERT. Any other is as it was.
    """
    nodes = model.get_ordered_ops()
    positions, types = (_indices_of(table, nodes) for table in (POSITIONS, TYPES))
    softmaxes = _of_type("Softmax", nodes)
    last = [node for node in softmaxes if _is_in(LAST_LAYER, node)]
    if not positions or len(last) != 1:
        return False

    rows, pieces = (_input(name, parts) for name, parts in (("rows", 3), ("pieces", 2)))
    _replace(model, "input_ids", _part(rows, 0))
    _replace(model, "attention_mask", _part(pieces, 1))
    starts = _part(rows, 1)
    for reader in positions:
        reader.replace_source_output(starts)
    for reader in types:  # all are 0; in the file they are cut from a row as long as a piece may be
        reader.replace_source_output(ops.multiply(starts, ops.constant(np.int64(0))).output(0))
    bias = _bias(_part(rows, 2))
    for softmax in softmaxes:
        if not _is_in(LAST_LAYER, softmax):
            source(softmax, 0).get_node().input(1).replace_source_output(bias)
    _give_each_piece_a_row(_weighed_by(last[0]), _part(pieces, 0))

    model.add_parameters([rows, pieces])
    model.validate_nodes_and_infer_types()
    return True


def feeds(batch: MicroBatch, layout: Layout) -> dict[str, Any]:
    """Return what the graph reads of a micro-batch, by the name of the input."""
    if layout.shares:
        return shared(batch, layout)._asdict()
    rows = padded(batch, layout)
    return {"input_ids": rows.ids, "attention_mask": rows.mask}


def _bias(segments: Any) -> Any:
    """Return [rows, 1, width, width] of what is added to scores: nothing within a piece."""
    looks, at = (ops.unsqueeze(segments, ops.constant(np.int64(axis))) for axis in (2, 1))
    within, hidden = ops.constant(np.float32(0)), ops.constant(np.float32(HIDDEN))
    bias = ops.select(ops.equal(looks, at), within, hidden)
    return ops.unsqueeze(bias, ops.constant(np.int64(1))).output(0)  # the same for each head


def _weighed_by(softmax: Any) -> Any:
    """Return the hidden states, [rows, width, hidden], that attention takes a mean of."""
    (product,) = softmax.output(0).get_target_inputs()
    return source(product.get_node(), 1)


def _give_each_piece_a_row(hidden: Any, places: Any) -> None:
    """Turn hidden states in shared rows into [pieces, longest, hidden], for all that read them."""
    readers = list(hidden.get_target_inputs())
    size = hidden.get_partial_shape()[2].get_length()
    end_to_end = ops.reshape(hidden, ops.constant(np.array([-1, size])), special_zero=False)
    of_pieces = ops.gather(end_to_end, places, ops.constant(np.int64(0)))
    for reader in readers:
        reader.replace_source_output(of_pieces.output(0))


def _input(name: str, parts: int) -> Any:
    parameter = ops.parameter([parts, -1, -1], np.int32, name=name)
    parameter.output(0).set_names({name})
    return parameter


def _part(parameter: Any, number: int) -> Any:
    part = ops.gather(parameter, ops.constant(np.int32(number)), ops.constant(np.int32(0)))
    return ops.convert(part, np.int64).output(0)


def _replace(model: ov.Model, name: str, by: Any) -> None:
    """Have those who read an input read another thing."""
    output = model.input(name)
    for reader in list(output.get_target_inputs()):
        reader.replace_source_output(by)
    model.remove_parameter(output.get_node())


def _indices_of(table: str, nodes: Sequence[Any]) -> list[Any]:
    """Return the inputs that say what is looked up in a table."""
    return [node.input(1) for node in _of_type("Gather", nodes) if _is_in(table, node)]


def _of_type(kind: str, nodes: Sequence[Any]) -> list[Any]:
    return [node for node in nodes if node.get_type_name() == kind]


def _is_in(part: str, node: Any) -> bool:
    name: str = node.get_friendly_name()
    return name.startswith(part)
