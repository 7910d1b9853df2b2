"""Reading a classifier for torch: safetensors only, and nothing that a model file says is run."""

import json
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from schemas.bundle import CONFIG
from schemas.errors import BundleError

# What of config.json may reach transformers. The rest is left out: a config has carried code
# before (CVE-2026-4372, CVE-2026-5241).
ALLOWED: Final = frozenset(
    [
        "attention_dropout",
        "attention_probs_dropout_prob",
        "bos_token_id",
        "classifier_bias",
        "classifier_dropout",
        "classifier_pooling",
        "cls_token_id",
        "decoder_bias",
        "dim",
        "dropout",
        "embedding_dropout",
        "embedding_size",
        "eos_token_id",
        "global_attn_every_n_layers",
        "global_rope_theta",
        "hidden_act",
        "hidden_activation",
        "hidden_dim",
        "hidden_dropout_prob",
        "hidden_size",
        "id2label",
        "initializer_range",
        "intermediate_size",
        "label2id",
        "layer_norm_eps",
        "local_attention",
        "local_rope_theta",
        "max_position_embeddings",
        "mlp_bias",
        "mlp_dropout",
        "n_heads",
        "n_layers",
        "norm_bias",
        "norm_eps",
        "num_attention_heads",
        "num_hidden_layers",
        "pad_token_id",
        "position_embedding_type",
        "problem_type",
        "qa_dropout",
        "seq_classif_dropout",
        "sep_token_id",
        "sinusoidal_pos_embds",
        "tie_word_embeddings",
        "type_vocab_size",
        "vocab_size",
    ]
)


def read_config(folder: Path) -> Any:
    """Return what may be believed of a folder's config.json, as transformers' configuration.

    Raises:
        BundleError: there is none, or transformers does not know the model.
    """
    try:
        found = json.loads((folder / CONFIG).read_bytes())
        kept = {name: value for name, value in found.items() if name in ALLOWED}
        labels = kept.get("id2label", {})
        kept["id2label"] = {int(number): label for number, label in labels.items()}
        return AutoConfig.for_model(found["model_type"], **kept)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            f"{folder.name}: {CONFIG}: transformers cannot read it: {error}",
            "the config.json of a sequence classifier is needed",
        ) from error


def read_classifier(folder: Path, config: Any, dtype: torch.dtype) -> Any:
    """Return the classifier of a folder in a number type, on the CPU, for inference.

    Raises:
        BundleError: the folder holds no classifier that transformers can load.
    """
    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise BundleError(
            f"{folder.name}: transformers cannot load it: {error}",
            "config.json and model.safetensors of a sequence classifier are needed",
        ) from error
    return model.eval()
