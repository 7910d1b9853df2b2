"""The bundle's graph as OpenVINO likes it: query, key and value as products of their own.

In the file they are one product that is cut up behind it (trainer/lean_int8.py), since ONNX
Runtime computes them in int8 only so. OpenVINO computes them in int8 either way; of one product it
copies each part, and makes bytes of it for attention in another pass. Products of their own write
bytes at once (docs/performance.md).
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops


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
