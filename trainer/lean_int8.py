"""The int8 graph rewritten: node by node the same, in the form in which engines are fast.

Query, key and value are three products of one quantised input. ONNX Runtime computes a product
in int8 only where its input is quantised for it alone, and these three in float; as one
product it is in int8, and larger. An embedding's rows are looked up before they become
floats: ONNX Runtime makes floats of all 30,000 for each batch otherwise.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

Array = NDArray[np.generic]

COLUMNS: Final = 1  # the axis along which a product's weights have scales
ROWS: Final = 0  # that along which an embedding's have
MATRIX: Final = 2  # axes
QDQ_INPUTS: Final = 3  # bytes, scales, zero points


def make_lean(model: ModelProto) -> None:
    """Rewrite, in place, what NNCF made of a serving graph.

    Args:
        model: in QDQ form, a scale for each channel. What has another form stays as it is.
    """
    graph = _Graph(model.graph)
    for products in graph.products_of_one_input():
        _merge(graph, products)
    for lookup in graph.lookups():
        _look_up_before(graph, lookup)
    graph.write()


def _axis(node: NodeProto, default: int) -> int:
    return next((each.i for each in node.attribute if each.name == "axis"), default)


class _Graph:
    """An ONNX graph by its edges, and what is to be put in the places of its nodes."""

    def __init__(self, graph: GraphProto) -> None:
        self.graph = graph
        self.constants = {constant.name: constant for constant in graph.initializer}
        self.maker = {output: node for node in graph.node for output in node.output}
        self.users: dict[str, list[NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.users[name].append(node)
        self.instead: dict[str, Sequence[NodeProto]] = {}  # by an output of what was there

    def products_of_one_input(self) -> Iterator[list[NodeProto]]:
        """Give the int8 products, each with its bias added, that share their left side."""
        by_input = defaultdict(list)
        for node in self.graph.node:
            if node.op_type == "MatMul" and self._is_quantised(node.input[1], COLUMNS):
                by_input[node.input[0]].append(node)
        for products in by_input.values():
            if len(products) > 1 and all(self._has_a_bias(product) for product in products):
                yield products

    def lookups(self) -> Iterator[NodeProto]:
        """Give the nodes that take rows of an embedding in int8."""
        for node in self.graph.node:
            is_lookup = node.op_type == "Gather" and _axis(node, default=ROWS) == ROWS
            if is_lookup and self._is_quantised(node.input[0], ROWS):
                table = self.maker[node.input[0]]
                if not self.constant(table.input[2]).any():
                    yield node

    def constant(self, name: str) -> Array:
        """Return the value of a constant."""
        return numpy_helper.to_array(self.constants[name])

    def new_constant(self, name: str, value: Array) -> str:
        """Add a constant, and return its name."""
        self.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def bias_of(self, product: NodeProto) -> tuple[str, NodeProto]:
        """Return the name of a product's bias, and the node that adds it."""
        (add,) = self.users[product.output[0]]
        return next(name for name in add.input if name in self.constants), add

    def write(self) -> None:
        """Put the new nodes in, and leave out what nobody uses now."""
        nodes = [new for old in self.graph.node for new in self.instead.get(old.output[0], [old])]
        used = {output.name for output in self.graph.output}
        kept: list[NodeProto] = []
        for node in reversed(nodes):  # users come after what they use
            if used.intersection(node.output):
                used.update(node.input)
                kept.append(node)
        constants = [each for each in self.graph.initializer if each.name in used]
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(reversed(kept))
        self.graph.initializer.extend(constants)

    def _is_quantised(self, name: str, axis: int) -> bool:
        """Say whether that is a matrix in bytes, with a scale and a zero point along an axis."""
        maker = self.maker.get(name)
        if maker is None or maker.op_type != "DequantizeLinear" or len(maker.input) < QDQ_INPUTS:
            return False
        if not self.constants.keys() >= set(maker.input):
            return False
        shape, scales = (list(self.constants[each].dims) for each in maker.input[:2])
        along = _axis(maker, default=COLUMNS) % len(shape) if shape else None
        return len(shape) == MATRIX and along == axis and scales == [shape[axis]]

    def _has_a_bias(self, product: NodeProto) -> bool:
        users = self.users[product.output[0]]
        return (
            len(users) == 1
            and users[0].op_type == "Add"
            and any(name in self.constants for name in users[0].input)
        )


def _merge(graph: _Graph, products: Sequence[NodeProto]) -> None:
    """Make one product of several: weights, scales, zero points and biases side by side."""
    name = f"{products[0].name}_and_{len(products) - 1}_more"
    weights = [graph.maker[product.input[1]] for product in products]
    biases, adds = zip(*(graph.bias_of(product) for product in products), strict=True)

    def side_by_side(part: str, names: Sequence[str], axis: int) -> str:
        return graph.new_constant(
            f"{name}_{part}", np.concatenate([graph.constant(each) for each in names], axis)
        )

    quantised = [
        side_by_side("weights", [node.input[0] for node in weights], COLUMNS),
        side_by_side("scales", [node.input[1] for node in weights], 0),
        side_by_side("zero_points", [node.input[2] for node in weights], 0),
    ]
    bias = side_by_side("bias", biases, 0)
    widths = [graph.constant(each).shape[0] for each in biases]
    split = graph.new_constant(f"{name}_widths", np.array(widths, np.int64))
    graph.instead[products[0].output[0]] = [
        helper.make_node("DequantizeLinear", quantised, [f"{name}_floats"], axis=COLUMNS),
        helper.make_node("MatMul", [products[0].input[0], f"{name}_floats"], [f"{name}_product"]),
        helper.make_node("Add", [bias, f"{name}_product"], [f"{name}_sum"]),
        helper.make_node("Split", [f"{name}_sum", split], [a.output[0] for a in adds], axis=-1),
    ]
    for old in (*products[1:], *adds):
        graph.instead[old.output[0]] = []


def _look_up_before(graph: _Graph, lookup: NodeProto) -> None:
    """Take the rows in int8 and their scales, and multiply; zero points of weights are 0."""
    table = graph.maker[lookup.input[0]]
    (rows,) = lookup.output
    scales = graph.new_constant(f"{rows}_scales", graph.constant(table.input[1])[:, None])
    graph.instead[rows] = [
        helper.make_node("Gather", [table.input[0], lookup.input[1]], [f"{rows}_int8"], axis=ROWS),
        helper.make_node("Gather", [scales, lookup.input[1]], [f"{rows}_scale"], axis=ROWS),
        helper.make_node("Cast", [f"{rows}_int8"], [f"{rows}_floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{rows}_floats", f"{rows}_scale"], [rows]),
    ]
