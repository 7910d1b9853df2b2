"""Classifiers with random weights, as transformers has them, and a bundle of one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForSequenceClassification

from schemas.bundle import (
    CONFIG,
    FLOAT_WEIGHTS,
    GOLDEN,
    MANIFEST,
    TOKENIZER,
    content_version,
    file_entry,
)
from schemas.labels import LABELS
from worker.batching import Layout, padded

LONGEST = 64  # tokens of a piece
WORDS = ("you", "are", "very", "kind", "a", "rotten", "harbour", "song", "and", "no", "edit")
TEXTS = (
    "you",
    "a song",
    "you are kind",
    "rotten",
    "no no no",
    "harbour and song",
    "",
    "edit a edit",
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
VOCABULARY = 100

# With weights as large as these a wrong position, bound or norm moves a logit by far more than
# any rounding.
SPREAD = 0.4


def tiny_classifier(model_type: str, layers: int = 3, spread: float = SPREAD) -> Any:
    """Return a classifier of a type, three layers of 32; the same each time."""
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
    if model_type == "distilbert":
        sizes = {"dim": 32, "n_heads": 4, "hidden_dim": 64}
    return random_classifier(
        model_type,
        **sizes,
        **{"n_layers" if model_type == "distilbert" else "num_hidden_layers": layers},
        vocab_size=VOCABULARY,
        # RoBERTa's positions begin behind that of padding.
        max_position_embeddings=LONGEST + 2 if "roberta" in model_type else LONGEST,
        initializer_range=spread,
    )


def random_classifier(model_type: str, **config: Any) -> Any:
    """Return a classifier of such a configuration; the same each time."""
    torch.manual_seed(0)
    about = AutoConfig.for_model(
        model_type,
        **config,
        problem_type="multi_label_classification",
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    model: Any = AutoModelForSequenceClassification.from_config(about)  # type: ignore[no-untyped-call]
    with torch.no_grad():  # transformers begins with biases of 0 and norms of 1
        for name, weights in model.named_parameters():
            if weights.dim() == 1:
                weights.normal_(
                    mean=float("norm.weight" in name.lower()), std=about.initializer_range
                )
    return model.eval()


def pieces_of(lengths: Sequence[int], seed: int = 0) -> list[list[int]]:
    """Return pieces of such lengths, of tokens by chance."""
    random = np.random.default_rng(seed)
    return [random.integers(5, VOCABULARY, length).tolist() for length in lengths]


def plain_logits(model: Any, pieces: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """Return what transformers makes of pieces, each by itself: [pieces, labels]."""
    rows = []
    with torch.inference_mode():
        for piece in pieces:
            one = padded([[piece]], Layout(8))
            ids, mask = torch.from_numpy(one.ids), torch.from_numpy(one.mask)
            rows.append(model(input_ids=ids, attention_mask=mask).logits[0].numpy())
    return np.array(rows)


def write_bundle(folder: Path, model: Any, tolerance: float = 0.001) -> Path:
    """Write a bundle with float weights, its golden comments scored by the plain model."""
    model.save_pretrained(folder)
    tokenizer = _tokenizer()
    tokenizer.save(str(folder / TOKENIZER))
    logits = plain_logits(model, [tokenizer.encode(text).ids for text in TEXTS])
    golden = [
        {"text": text, "scores": dict(zip(LABELS, row.tolist(), strict=True))}
        for text, row in zip(TEXTS, 1 / (1 + np.exp(-logits)), strict=True)
    ]
    (folder / GOLDEN).write_text(json.dumps({"tolerance": tolerance, "comments": golden}))
    files = (CONFIG, FLOAT_WEIGHTS, TOKENIZER, GOLDEN)
    raw = {
        "format": 1,
        "name": "tiny",
        "base_model": "none",
        "max_length": LONGEST,
        "labels": list(LABELS),
        "thresholds": dict.fromkeys(LABELS, 0.5),
        "calibration": {label: {"slope": 1.0, "intercept": 0.0} for label in LABELS},
        "metrics": {},
        "data_fingerprint": "none",
        "libraries": {},
        "files": {name: file_entry(folder / name).model_dump() for name in files},
    }
    (folder / MANIFEST).write_text(json.dumps(raw | {"version": content_version(raw)}))
    return folder


def _tokenizer() -> Tokenizer:
    words = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))  # noqa: S106 - no secret
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer
