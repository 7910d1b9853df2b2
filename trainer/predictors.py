"""Who is judged: a bundle in float or int8, any model that transformers can load, TF-IDF."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from schemas.bundle import (
    CONFIG,
    FLOAT_WEIGHTS,
    INT8_MODEL,
    MANIFEST,
    TOKENIZER,
    BundleManifest,
    Calibration,
    read_manifest,
    verify,
)
from schemas.errors import BundleError, TrainingError
from schemas.labels import LABELS
from trainer import fit
from trainer.bootstrap import Floats
from trainer.calibrate import Scale
from trainer.columns import ALIASES
from trainer.data import Rows
from trainer.dataset import CommentDataset
from trainer.model import longest
from trainer.pretrained import fast_tokenizer, pretrained
from trainer.quantise import by_openvino

BUDGET: Final = 2_048  # padded tokens in a batch
MOST_TOKENS: Final = 512  # of a model that does not say how far its positions reach
GIVE: Final = (
    "give a bundle, a folder with config.json, model.safetensors and tokenizer.json, "
    "or a name on the hub"
)

Logits = Callable[[CommentDataset], Floats]


@dataclass(frozen=True, slots=True)
class Predictor:
    """Whoever gives probabilities to texts.

    Attributes:
        name: under which it stands in the report.
        labels: those of ours that it knows, in the order of its columns.
        thresholds: by label, from which it is set.
        probabilities: texts to [texts, labels] probabilities.
        manifest: of a bundle; None of all else.
    """

    name: str
    labels: tuple[str, ...]
    thresholds: Mapping[str, float]
    probabilities: Callable[[Sequence[str]], Floats]
    manifest: BundleManifest | None = None

    def of(self, texts: Sequence[str], labels: Sequence[str]) -> Floats:
        """Return [texts, labels] probabilities in the order of `labels`."""
        found = self.probabilities(texts)
        return found[:, [self.labels.index(label) for label in labels]]


def predictor(reference: str) -> Predictor:
    """Load a bundle by folder, or a model by folder or by name on the hub.

    A bundle is judged in float if its float weights are there, else in int8.

    Raises:
        BundleError: the bundle is incomplete or was changed.
        TrainingError: the model cannot be loaded, or knows none of our labels.
    """
    folder = Path(reference)
    if not (folder / MANIFEST).is_file():
        return _of_transformers(reference)
    return int8(folder) if not (folder / FLOAT_WEIGHTS).is_file() else floating(folder)


def floating(folder: Path) -> Predictor:
    """Load a bundle's float model.

    Raises:
        BundleError: it has none, or a file was changed.
    """
    manifest = read_manifest(folder)
    verify(folder, manifest, (FLOAT_WEIGHTS,))
    model = _model(str(folder))
    return _of_bundle(folder, manifest, "", lambda rows: fit.predict(model, rows, BUDGET))


def int8(folder: Path) -> Predictor:
    """Load a bundle's int8 model, what is not int8 computed in float32.

    Raises:
        BundleError: it has none, or a file was changed.
    """
    manifest = read_manifest(folder)
    verify(folder, manifest, (INT8_MODEL,))
    engine = by_openvino(folder / INT8_MODEL)
    return _of_bundle(folder, manifest, " (int8)", lambda rows: engine.logits(rows, BUDGET))


def _of_bundle(folder: Path, manifest: BundleManifest, suffix: str, logits: Logits) -> Predictor:
    labels = tuple(manifest.labels)
    thresholds = tuple(manifest.thresholds[label] for label in labels)
    scale = Scale(tuple(manifest.calibration[label] for label in labels), thresholds)
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))

    def probabilities(texts: Sequence[str]) -> Floats:
        rows = Rows.unlabelled(texts, labels)
        return scale.probabilities(logits(CommentDataset(rows, tokenizer, manifest.max_length)))

    named = dict(zip(labels, thresholds, strict=True))
    return Predictor(f"{manifest.name}{suffix}", labels, named, probabilities, manifest)


def _of_transformers(reference: str) -> Predictor:
    """Load any classifier of several labels: its sigmoid, thresholds of one half."""
    folder = Path(reference)
    if folder.is_dir() and not (folder / CONFIG).is_file():
        raise BundleError(
            f"`{reference}`: neither {MANIFEST} nor {CONFIG} is in it",
            "give the folder that `tidegate train` wrote, or that of a model",
        )
    model = _model(reference)
    columns = _columns(reference, model.config)
    tokenizer = fast_tokenizer(reference, f"`{reference}`", GIVE)
    length = min(MOST_TOKENS, longest(model) or MOST_TOKENS)
    order = list(columns.values())
    scale = Scale((Calibration(slope=1, intercept=0),) * len(order), (0.5,) * len(order))

    def probabilities(texts: Sequence[str]) -> Floats:
        rows = Rows.unlabelled(texts, columns)
        dataset = CommentDataset(rows, tokenizer, length)
        return scale.probabilities(fit.predict(model, dataset, BUDGET)[:, order])

    thresholds = dict.fromkeys(columns, 0.5)
    return Predictor(folder.name or reference, tuple(columns), thresholds, probabilities)


def _columns(reference: str, config: Any) -> dict[str, int]:
    """Return which logit is which of our labels."""
    if config.problem_type == "single_label_classification":
        raise TrainingError(
            f"{reference}: its labels exclude each other (problem_type in {CONFIG})",
            "a classifier of several labels is needed",
        )
    names = {str(name).lower(): int(i) for i, name in config.id2label.items()}
    ours = {ALIASES.get(name, name): i for name, i in names.items()}
    known: dict[str, int] = {label: ours[label] for label in LABELS if label in ours}
    if not known:
        raise TrainingError(
            f"{reference}: none of its labels ({', '.join(names)}) is one of {', '.join(LABELS)}",
            f"rename them in its {CONFIG} (id2label)",
        )
    return known


def _model(reference: str) -> PreTrainedModel:
    model: PreTrainedModel = pretrained(
        AutoModelForSequenceClassification,
        reference,
        f"`{reference}`",
        GIVE,
        use_safetensors=True,
        dtype=torch.float32,
    )
    model.train(mode=False)
    return model
