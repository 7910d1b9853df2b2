"""The graph that serves: the same logits as the model, with less work, written as float ONNX.

A classifier reads position 0 alone. So the last layer needs its query, its output, its
feed-forward part and its norms for one row in place of all, and
    q . (Wk h + bk) = (Wk' q) . h + constant     (the softmax drops the constant)
    sum p (Wv h + bv) = Wv (sum p h) + bv        (the p of a query sum to 1)
spare its keys and values too. Exact, and a sixth faster with six layers.
"""

import warnings
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

INPUTS: Final = ("input_ids", "attention_mask")
OUTPUT: Final = "logits"


class BertFirstRow(nn.Module):
    """A BERT classifier whose last layer is computed for [CLS] alone.

    Args:
        model: a BertForSequenceClassification; it is read, never changed.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        heads = model.config.num_attention_heads
        *layers, last = model.bert.encoder.layer
        self.embeddings = model.bert.embeddings
        self.attentions = nn.ModuleList(Attention(layer.attention.self, heads) for layer in layers)
        self.first_row = FirstRowAttention(last.attention.self, heads)
        self.layers = nn.ModuleList([*layers, last])
        self.pooler = model.bert.pooler
        self.classifier = model.classifier

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Score comments.

        Args:
            input_ids: [rows, width] int64.
            attention_mask: [rows, width] int64, 1 where there is a token.

        Returns:
            [rows, labels] float32 logits.
        """
        bias = (1 - attention_mask) * -10_000.0
        hidden = self.embeddings(input_ids)
        for layer, attention in zip(self.layers[:-1], self.attentions, strict=True):
            hidden = _rest_of(layer, attention(hidden, bias[:, None, None]), hidden)
        first = self.first_row(hidden, bias[:, None])
        first = _rest_of(self.layers[-1], first, hidden[:, :1])
        logits: Tensor = self.classifier(self.pooler(first))
        return logits


class Attention(nn.Module):
    """Self-attention of all rows, written so that the engines know it again."""

    def __init__(self, attention: Any, heads: int) -> None:
        super().__init__()
        self.query: nn.Linear = attention.query
        self.key: nn.Linear = attention.key
        self.value: nn.Linear = attention.value
        self.scaling: float = attention.scaling
        self.heads = heads

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """Mix rows: hidden [rows, width, hidden] and bias [rows, 1, 1, width] to the former."""
        query, key, value = (self._by_head(f(hidden)) for f in (self.query, self.key, self.value))
        scores = query @ key.transpose(2, 3) * self.scaling + bias
        mixed: Tensor = (scores.softmax(-1) @ value).transpose(1, 2).reshape(hidden.shape)
        return mixed

    def _by_head(self, hidden: Tensor) -> Tensor:
        """Cut the last axis by heads: [rows, width, hidden] to [rows, heads, width, head]."""
        rows, width, size = hidden.shape
        return hidden.reshape(rows, width, self.heads, size // self.heads).transpose(1, 2)


class FirstRowAttention(nn.Module):
    """Self-attention of position 0, with keys and values folded away. It stays in float."""

    def __init__(self, attention: Any, heads: int) -> None:
        super().__init__()
        self.query: nn.Linear = attention.query
        self.bias: Tensor = attention.value.bias.detach()
        self.scaling: float = attention.scaling
        self.heads = heads
        shape = (heads, -1, self.query.in_features)  # [heads, head, hidden]
        key_weights: Tensor = attention.key.weight.detach()
        value_weights: Tensor = attention.value.weight.detach()
        self.key_weights = key_weights.reshape(shape)
        self.value_weights = value_weights.reshape(shape).transpose(1, 2)

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """Mix rows for the first: hidden [rows, width, hidden], bias [rows, 1, width].

        Returns:
            [rows, 1, hidden].
        """
        first = hidden[:, :1]
        query = self.query(first).reshape(hidden.shape[0], self.heads, 1, -1)
        folded = (query @ self.key_weights * self.scaling)[:, :, 0]  # [rows, heads, hidden]
        scores = folded @ hidden.transpose(1, 2) + bias  # [rows, heads, width]
        summed = scores.softmax(-1) @ hidden  # [rows, heads, hidden]
        mixed: Tensor = (summed[:, :, None] @ self.value_weights).reshape(first.shape)
        return mixed + self.bias


def _rest_of(layer: Any, mixed: Tensor, hidden: Tensor) -> Tensor:
    """Compute what follows the attention in a layer: output, feed-forward part and norms."""
    hidden = layer.attention.output(mixed, hidden)
    output: Tensor = layer.output(layer.intermediate(hidden), hidden)
    return output


class WholeModel(nn.Module):
    """Any other encoder, as it is."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Score comments: [rows, width] twice to [rows, labels] logits."""
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


def serving_graph(model: PreTrainedModel) -> nn.Module:
    """Return the cheapest module that gives the model's logits."""
    return (BertFirstRow if model.config.model_type == "bert" else WholeModel)(model).eval()


def write_onnx(model: PreTrainedModel, path: Path) -> None:
    """Write the serving graph as ONNX in float, with rows and width left open."""
    write_module(serving_graph(model), path)


def write_module(module: nn.Module, path: Path) -> None:
    """Write a module that scores as `WholeModel` does, as ONNX in float."""
    example = torch.ones((2, 16), dtype=torch.int64)
    axes = {name: {0: "rows", 1: "width"} for name in INPUTS} | {OUTPUT: {0: "rows"}}
    with warnings.catch_warnings():
        # The newer exporter needs onnxscript, and hides attention from the engines' fusions. Of
        # other encoders this one warns of what a trace may miss: the int8 figures would show it.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (example, example),
            path,
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
