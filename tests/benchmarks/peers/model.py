"""The model that all engines get: made once, as a folder, from a seed.

    python -m benchmarks.peers.model mini FOLDER

It is a bundle as the trainer writes it, with the files that other engines want. `mini` has the
weights of the 6-layer BERT of the full install; `base` has BERT-base's shape and `tiny` is for
trying the benchmark out, both with random weights, so their figures speak of speed alone. The
head is random; that of `mini` is scaled so that its logits lie as a trained model's do, or
every probability would stand next to 0.5 and a hair's breadth would flip it.
"""

import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

from benchmarks.machine import has_vnni
from benchmarks.peers.files import DYNAMIC_INT8, INFINITY_MODEL
from benchmarks.texts import real_texts
from schemas.bundle import FLOAT_MODEL, INT8_MODEL, Calibration, GoldenComment, GoldenComments
from schemas.labels import LABELS
from trainer import fit, golden, graph, quantise
from trainer.data import Rows
from trainer.dataset import CommentDataset
from trainer.export import Result, unfinished, write_manifest, write_model
from trainer.model import clean_tokenizer, load_model

MAX_LENGTH: Final = 256
BUDGET: Final = 2_048
SEED: Final = 7
MEAN, SPREAD = -2.0, 1.5  # of a label's logits, as a model has them that was trained on Jigsaw

# Of random weights. None: the base of the full install.
SHAPES: Final[dict[str, dict[str, Any] | None]] = {
    "mini": None,
    "base": {},
    "tiny": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
    },
}
EXAMPLES: Final = {"mini": quantise.EXAMPLES, "base": 24, "tiny": 24}


def make(name: str, out: Path) -> None:
    """Write the model of a shape to `out`, whole or not at all."""
    torch.manual_seed(SEED)
    tokenizer = clean_tokenizer(None)
    model = _model(SHAPES[name])
    model.train(mode=False)
    texts = real_texts(EXAMPLES[name])[1]
    examples = CommentDataset(Rows.unlabelled(texts, LABELS), tokenizer, MAX_LENGTH)
    if SHAPES[name] is None:
        _spread_logits(model, examples)
    with unfinished(out) as scratch:
        bundle = scratch / "bundle"
        graph.write_onnx(model, bundle / FLOAT_MODEL)
        quantise.write_int8(bundle / FLOAT_MODEL, bundle / INT8_MODEL, examples)
        write_model(bundle, model, tokenizer, MAX_LENGTH)
        _write_dynamic_int8(bundle / FLOAT_MODEL, bundle / DYNAMIC_INT8)
        _write_whole(model, scratch / "whole.onnx")
        _write_dynamic_int8(scratch / "whole.onnx", bundle / INFINITY_MODEL)
        write_manifest(bundle, _golden(model, tokenizer), _result(name))


def _model(shape: dict[str, Any] | None) -> PreTrainedModel:
    if shape is None:
        return load_model(None, LABELS)
    config = BertConfig(  # type: ignore[call-arg]  # it knows its own names only
        **shape,
        num_labels=len(LABELS),
        problem_type="multi_label_classification",
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    model: PreTrainedModel = BertForSequenceClassification(config)
    return model


def _spread_logits(model: Any, examples: CommentDataset) -> None:
    """Scale the head: each label's logits get MEAN and SPREAD over the examples."""
    logits = torch.from_numpy(_logits(model, examples))
    factor = SPREAD / logits.std(0)
    with torch.no_grad():
        head = model.classifier
        head.weight.mul_(factor[:, None])
        head.bias.copy_((head.bias - logits.mean(0)) * factor + MEAN)


def _logits(model: PreTrainedModel, comments: CommentDataset) -> Any:
    """Return [comments, labels]."""
    with torch.no_grad():
        return fit.predict(model, comments, BUDGET)


def _write_whole(model: PreTrainedModel, path: Path) -> None:
    """Write the model as others export it: with the whole of its last layer."""
    graph.write_module(graph.WholeModel(model).eval(), path)


def _write_dynamic_int8(model: Path, path: Path) -> None:
    """Quantise by ONNX Runtime's own tool as its documentation advises for this processor."""
    onnx.save(onnx.shape_inference.infer_shapes(onnx.load(model)), path)
    # Without VNNI products of int8 are added in 16 bits, and overflow: 7 bits are for that.
    quantize_dynamic(
        path, path, per_channel=True, reduce_range=not has_vnni(), weight_type=QuantType.QInt8
    )


def _golden(model: PreTrainedModel, tokenizer: Tokenizer) -> GoldenComments:
    """Return golden comments that refuse nobody: how far off an engine is stands in the table."""
    texts = golden.texts_within(tokenizer, MAX_LENGTH)
    comments = CommentDataset(Rows.unlabelled(texts, LABELS), tokenizer, MAX_LENGTH)
    scores = 1 / (1 + np.exp(-_logits(model, comments)))
    return GoldenComments(
        tolerance=1,
        comments=[
            GoldenComment(text=text, scores=dict(zip(LABELS, row.tolist(), strict=True)))
            for text, row in zip(texts, scores, strict=True)
        ],
    )


def _result(name: str) -> Result:
    return Result(
        name=f"benchmark-{name}",
        base_model=name,
        max_length=MAX_LENGTH,
        labels=LABELS,
        thresholds=dict.fromkeys(LABELS, 0.5),
        calibration=dict.fromkeys(LABELS, Calibration(slope=1, intercept=0)),
        metrics={},
        data_fingerprint="random head",
    )


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]))
