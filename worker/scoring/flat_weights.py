"""From a classifier of transformers to a flat encoder with the same weights.

RoBERTa has one difference that is left: it gives a padding token inside a text (somebody wrote
`<pad>`) no position of its own. Here it has one, as any other token.
"""

from typing import Any, Final

import torch
from torch import Tensor, nn

from worker.scoring.flat_encoder import FlatEncoder, Layer, Product
from worker.scoring.varlen import Attention

ROBERTAS: Final = ("roberta", "xlm-roberta")
FLAT: Final = frozenset({"bert", "distilbert", *ROBERTAS})  # model types that can be laid out flat


def heads_of(config: Any) -> tuple[int, int]:
    """Return the number of heads, and the size of one."""
    heads: int = config.num_attention_heads
    return heads, config.hidden_size // heads


def flat_encoder_of(model: Any, attend: Attention) -> FlatEncoder:
    """Rearrange a classifier of a type in FLAT, for inference; its weights may be shared."""
    with torch.no_grad():
        read = _of_distilbert if model.config.model_type == "distilbert" else _of_bert
        return read(model, attend).eval()


def _of_bert(model: Any, attend: Attention) -> FlatEncoder:
    """Read a BERT or a RoBERTa: they differ in where positions begin, and in the head."""
    config = model.config
    if config.model_type in ROBERTAS:
        encoder, first_position = model.roberta, config.pad_token_id + 1
        dense, classifier = model.classifier.dense, model.classifier.out_proj
    else:
        encoder, first_position = model.bert, 0
        dense, classifier = encoder.pooler.dense, model.classifier
    embeddings = encoder.embeddings
    positions = embeddings.position_embeddings.weight[first_position:]
    of_every_token = embeddings.token_type_embeddings.weight[0]
    both = positions + of_every_token
    heads, _ = heads_of(config)
    return FlatEncoder(
        words=embeddings.word_embeddings,
        positions=nn.Embedding(len(both), both.shape[1], _weight=both),
        norm=embeddings.LayerNorm,
        layers=[_of_bert_layer(layer, heads, attend) for layer in encoder.encoder.layer],
        head=nn.Sequential(dense, nn.Tanh(), classifier),
    )


def _of_bert_layer(layer: Any, heads: int, attend: Attention) -> Layer:
    own, output = layer.attention.self, layer.attention.output
    inner = layer.intermediate
    return Layer(
        qkv=_side_by_side(own.query, own.key, own.value),
        output=output.dense,
        norms=(output.LayerNorm, layer.output.LayerNorm),
        feed_forward=nn.Sequential(inner.dense, inner.intermediate_act_fn, layer.output.dense),
        heads=heads,
        attend=attend,
    )


def _of_distilbert(model: Any, attend: Attention) -> FlatEncoder:
    encoder = model.distilbert
    embeddings = encoder.embeddings
    heads, _ = heads_of(model.config)
    return FlatEncoder(
        words=embeddings.word_embeddings,
        positions=embeddings.position_embeddings,
        norm=embeddings.LayerNorm,
        layers=[_of_distilbert_layer(layer, heads, attend) for layer in encoder.transformer.layer],
        head=nn.Sequential(model.pre_classifier, nn.ReLU(), model.classifier),
    )


def _of_distilbert_layer(layer: Any, heads: int, attend: Attention) -> Layer:
    own, inner = layer.attention, layer.ffn
    return Layer(
        qkv=_side_by_side(own.q_lin, own.k_lin, own.v_lin),
        output=own.out_lin,
        norms=(layer.sa_layer_norm, layer.output_layer_norm),
        feed_forward=nn.Sequential(inner.lin1, inner.activation, inner.lin2),
        heads=heads,
        attend=attend,
    )


def _side_by_side(*layers: nn.Linear) -> Product:
    """Return one product that gives what these give of the same input, side by side."""
    weight: Tensor = torch.cat([layer.weight for layer in layers])
    fused = Product(weight.shape[1], weight.shape[0], device="meta")
    fused.weight = nn.Parameter(weight, requires_grad=False)
    fused.bias = nn.Parameter(torch.cat([layer.bias for layer in layers]), requires_grad=False)
    return fused
