"""Float weights read back from an int8 file, so that what is shipped without them can learn on.

A bundle is shipped without its float model. What the int8 file says of each weight, its byte
times its scale, is within half a step of it; the factors by which quantising evened out its
channels are taken back. What comes out is not the model that was quantised, but one that says
what the int8 file says, and a few steps of training are worth more than the difference.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper
from torch import Tensor
from transformers import BertConfig

from schemas.bundle import INT8_MODEL, read_manifest, verify
from schemas.errors import TrainingError

Floats = NDArray[np.float32]

EVENED_OUT: Final = "nncf_smooth_quant"  # the products by which NNCF divides the channels
TABLES: Final = ("word_embeddings", "token_type_embeddings", "position_embeddings")


def float_weights(folder: Path, config: Any) -> dict[str, Tensor]:
    """Read a classifier's weights from the int8 file of a bundle.

    The biases of the last layer's keys are 0: the serving graph has none, as they change no
    logit (`trainer.graph`).

    Args:
        folder: a bundle.
        config: its model's, of transformers.

    Returns:
        The weights by the names that transformers has for them, in float32.

    Raises:
        BundleError: the file is missing, or was changed.
        TrainingError: the model is no BERT, or the file is of another form than the trainer's.
    """
    verify(folder, read_manifest(folder), (INT8_MODEL,))
    refusal = TrainingError(
        f"bundle {folder.name}: it has no float weights, and its int8 file is none from which "
        "they can be read back",
        "give --base a bundle with model.safetensors, or a BERT that tidegate quantised",
    )
    if not isinstance(config, BertConfig):
        raise refusal
    try:
        found = _weights(_Graph(onnx.load(folder / INT8_MODEL)), config)
    except (DecodeError, KeyError, ValueError, StopIteration, IndexError) as error:
        raise refusal from error
    return {name: torch.from_numpy(np.array(each, np.float32)) for name, each in found.items()}


def _weights(graph: "_Graph", config: BertConfig) -> dict[str, Floats]:
    """Give each constant of the serving graph, in the order of its nodes, its name."""
    layers = [f"bert.encoder.layer.{i}" for i in range(config.num_hidden_layers)]
    found: dict[str, Floats] = {}

    def dense(name: str) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = next(products)

    def rest_of(layer: str) -> None:
        for part in ("attention.output", "intermediate", "output"):
            dense(f"{layer}.{part}.dense")

    for table in TABLES:
        found[f"bert.embeddings.{table}.weight"] = graph.table(table)
    norms = graph.norms()
    products = graph.products()
    for layer in layers[:-1]:
        for name in ("query", "key", "value"):
            dense(f"{layer}.attention.self.{name}")
        rest_of(layer)
    last = f"{layers[-1]}.attention.self"
    dense(f"{last}.query")
    key, _ = next(products)  # [heads, head, hidden]
    value, bias = next(products)  # [heads, hidden, head]
    found[f"{last}.key.weight"] = key.reshape(-1, key.shape[-1])
    found[f"{last}.key.bias"] = np.zeros(len(bias), np.float32)
    found[f"{last}.value.weight"] = value.transpose(0, 2, 1).reshape(-1, value.shape[1])
    found[f"{last}.value.bias"] = bias
    rest_of(layers[-1])
    dense("bert.pooler.dense")
    dense("classifier")
    of_layers = [f"{layer}.{part}" for layer in layers for part in ("attention.output", "output")]
    for name in ("bert.embeddings", *of_layers):
        found[f"{name}.LayerNorm.weight"], found[f"{name}.LayerNorm.bias"] = next(norms)
    if next(products, None) or next(norms, None):
        raise ValueError("the graph has more layers than the config")
    return found


class _Graph:
    """What the trainer's int8 graph computes with, made float again."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes: Sequence[NodeProto] = model.graph.node
        self.constants: dict[str, Any] = {
            each.name: numpy_helper.to_array(each) for each in model.graph.initializer
        }
        for node in self.nodes:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        self.maker = {output: node for node in self.nodes for output in node.output}

    def table(self, name: str) -> Floats:
        """Return an embedding, [rows, hidden]: bytes and scales are looked up row by row."""
        lookups = [
            node
            for node in self.nodes
            if node.op_type == "Gather" and f".{name}.weight" in node.input[0]
        ]
        (bytes_,) = (self.constants[node.input[0]] for node in lookups)
        rows = lookups[0].output[0].removesuffix("_int8")
        table: Floats = bytes_.astype(np.float32) * self.constants[f"{rows}_scales"]
        return table

    def norms(self) -> Iterator[tuple[Floats, Floats]]:
        """Give the weight and the bias of each norm."""
        for node in self.nodes:
            if node.op_type == "LayerNormalization":
                yield self.constants[node.input[1]], self.constants[node.input[2]]

    def products(self) -> Iterator[tuple[Floats, Floats]]:
        """Give the weights of each product as transformers has them, and the bias added to it.

        Those of a plain product are [out, in], those with heads as they stand there. A product
        that serves several of the model's is given as several; one without a bias has an empty one.
        """
        for node in self.nodes:
            if node.op_type == "Gemm":
                weights = self._constant(node.input[1])  # [out, in]
                yield weights * self._divided_by(node).reshape(1, -1), self.constants[node.input[2]]
            elif node.op_type == "MatMul" and self._is_constant(node.input[1]):
                weights = self._constant(node.input[1])  # [..., in, out]
                weights = weights * self._divided_by(node).reshape(-1, 1)
                bias, added = self._added_to(node)
                if weights.ndim > 2:  # noqa: PLR2004 - heads before in and out
                    yield weights, bias
                else:
                    yield from self._parts(weights.T, bias, added)

    def _parts(self, weights: Floats, bias: Floats, added: str) -> Iterator[tuple[Floats, Floats]]:
        """Cut a product of several at once, where its outcome is split."""
        (user, *_) = self._users(added)
        if user.op_type != "Split":
            yield weights, bias
            return
        ends = np.cumsum(self.constants[user.input[1]])[:-1]
        yield from zip(np.split(weights, ends), np.split(bias, ends), strict=True)

    def _added_to(self, product: NodeProto) -> tuple[Floats, str]:
        """Return the bias that is added to a product, and the name of the sum."""
        name = product.output[0]
        while len(users := self._users(name)) == 1:
            (user,) = users
            name = user.output[0]
            if user.op_type == "Add":
                (bias,) = (self.constants[each] for each in user.input if each in self.constants)
                return bias, name
            if user.op_type != "Reshape":
                break
        return np.empty(0, np.float32), name

    def _users(self, name: str) -> list[NodeProto]:
        return [node for node in self.nodes if name in node.input]

    def _divided_by(self, product: NodeProto) -> Floats:
        """Return by what the channels of a product's left side were multiplied: [in], or one 1."""
        maker = self.maker[product.input[0]]
        while maker.op_type in {"DequantizeLinear", "QuantizeLinear"}:
            maker = self.maker[maker.input[0]]
        if EVENED_OUT not in maker.name:
            return np.ones(1, np.float32)
        scale: Floats
        (scale,) = (self.constants[each] for each in maker.input if each in self.constants)
        return scale

    def _is_constant(self, name: str) -> bool:
        maker = self.maker.get(name)
        if maker is None or maker.op_type != "DequantizeLinear":
            return name in self.constants
        return maker.input[0] in self.constants

    def _constant(self, name: str) -> Floats:
        """Return a constant; one in bytes has a scale and a zero point for each column."""
        found: Floats
        if name in self.constants:
            found = self.constants[name]
        else:
            bytes_, scales, zeros = (self.constants[each] for each in self.maker[name].input)
            found = (bytes_.astype(np.float32) - zeros) * scales
        return found
