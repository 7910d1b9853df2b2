"""The bundle's graph as OpenVINO likes it.

Query, key and value are products of their own. In the file they are one product that is cut up
behind it (trainer/lean_int8.py), since ONNX Runtime computes them in int8 only so. OpenVINO
computes them in int8 either way; of one product it copies each part, and makes bytes of it for
attention in another pass. Products of their own write bytes at once.

Keys stay rows, and the product with queries takes them as they are. In the file they are columns:
OpenVINO turns them token by token, which takes ten times as long as putting heads before tokens
(docs/performance.md).
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np
import openvino as ov
from openvino import opset13 as ops

# Orders of a key's axes, [rows, tokens, heads, size] before.
AS_COLUMNS: Final = [0, 2, 3, 1]
AS_ROWS: Final = [0, 2, 1, 3]


def part_products(model: ov.Model) -> int:
    """Turn each product that is cut up behind it into several, in place.

    Returns:
        How many were; 0 of a graph that the trainer did not make lean.
    """
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    cuts = [node for node in nodes.values() if node.get_type_name() == "VariadicSplit"]
    parted = [_part(cut, nodes) for cut in cuts]
    model.validate_nodes_and_infer_types()
    return sum(parted)


def leave_keys_as_rows(model: ov.Model) -> int:
    """Have products take as rows what is turned into columns for them, in place.

    Returns:
        How many products do; 0 of a graph where none is made of columns.
    """
    products = [node for node in model.get_ordered_ops() if node.get_type_name() == "MatMul"]
    turned = [_with_rows(product) for product in products]
    model.validate_nodes_and_infer_types()
    return sum(turned)


def _with_rows(product: Any) -> bool:
    """Give those who read a product with columns the same one with rows."""
    columns = source(product, 1).get_node()
    if columns.get_type_name() != "Transpose" or product.get_attributes()["transpose_b"]:
        return False
    order = source(columns, 1).get_node()
    if order.get_type_name() != "Constant" or order.data.tolist() != AS_COLUMNS:
        return False
    rows = ops.transpose(source(columns, 0), ops.constant(np.array(AS_ROWS)))
    turned = product.get_attributes()["transpose_a"]
    same = ops.matmul(source(product, 0), rows, transpose_a=turned, transpose_b=True)
    same.set_friendly_name(product.get_friendly_name())
    for reader in list(product.output(0).get_target_inputs()):
        reader.replace_source_output(same.output(0))
    return True


def _part(cut: Any, nodes: Mapping[str, Any]) -> bool:
    """Give those who read a part of a product a product of their own; the names are the file's."""
    name = source(cut, 2).get_node().get_friendly_name().removesuffix("_widths")
    constants = [nodes.get(f"{name}_{part}") for part in ("weights", "scales", "bias", "widths")]
    product, zero_points = nodes.get(f"{name}_product"), nodes.get(f"{name}_zero_points")
    if product is None or zero_points is None or None in constants or zero_points.data.any():
        return False
    weights, scales, bias, widths = (constant.data for constant in constants if constant)
    for number, (start, stop) in enumerate(pairwise(np.cumsum([0, *widths]))):
        in_floats = ops.multiply(
            ops.convert(ops.constant(weights[:, start:stop].copy()), np.float32),
            ops.constant(scales[start:stop].copy()),
        )
        alone = ops.matmul(source(product, 0), in_floats, transpose_a=False, transpose_b=False)
        part = ops.add(alone, ops.constant(bias[start:stop].copy())).output(0)
        for reader in list(cut.output(number).get_target_inputs()):
            reader.replace_source_output(part)
    return True


def source(node: Any, number: int) -> Any:
    """Return what a node reads at one of its inputs."""
    return node.input(number).get_source_output()
