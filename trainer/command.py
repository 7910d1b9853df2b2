"""The whole run on one page: data -> split -> tokenise -> fit -> calibrate -> judge -> bundle."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from schemas.bundle import INT8_MODEL, GoldenComments
from schemas.errors import TrainingError
from trainer import data, fit, golden, graph, quantise
from trainer import model as models
from trainer.baseline import bag_of_words
from trainer.calibrate import Floats, Scale, fit_scale
from trainer.data import Rows, is_set
from trainer.dataset import CommentDataset
from trainer.evaluate import Figures, evaluate, mean_auc
from trainer.export import Result, finish, unfinished, write_model
from trainer.normalise import with_cleaning
from trainer.quantise import Int8Engine, difference, number_types
from trainer.say import say
from trainer.split import Split, split_rows

LEAST_LENGTH: Final = 8  # tokens: [CLS], [SEP] and a few
ALONE_ROWS: Final = 500  # scored once more one at a time, to see whether neighbours matter


def train(  # noqa: PLR0913 - the options of `tidegate train`, each with its default
    data_files: Sequence[Path],
    out: Path,
    base: str | None = None,
    max_steps: int | None = None,
    seed: int = 0,
    *,
    epochs: int = 4,
    max_length: int = 128,
    learning_rate: float = 2e-4,
    name: str = "tide-1",
) -> None:
    """Make a bundle from labelled files.

    Args:
        data_files: CSV or JSON Lines, at least one of the labels in each.
        out: the folder that becomes the bundle, whole or not at all.
        base: a folder or a name on the hub; None for the 6-layer BERT of the full install.
        max_steps: bound on the training steps; None for `epochs`.
        seed: of the split, the order of rows, the head and dropout.
        epochs: passes over the training rows.
        max_length: tokens in a piece, [CLS] and [SEP] included.
        learning_rate: of the encoder at its highest.
        name: of the bundle.

    Raises:
        CommentsFileError: a file cannot be read.
        TrainingError: a label is wrong, there are too few rows, the base cannot be loaded,
            or `out` cannot be written.
    """
    started = time.monotonic()
    torch.manual_seed(seed)
    settings = fit.FitSettings(
        epochs=epochs, max_steps=max_steps, learning_rate=learning_rate, seed=seed
    )
    with unfinished(out) as scratch:
        rows = data.read_files(data_files)
        split = split_rows(rows, data.evaluation_texts(data_files), seed)
        _say_split(split)

        tokenizer = with_cleaning(models.load_tokenizer(base))
        model = models.load_model(base, rows.names)
        parts = Parts.of(split, tokenizer, _checked(max_length, model))

        weights = fit.positive_weights(split.train.labels)
        history = fit.fit(
            model,
            parts.train,
            parts.validation,
            weights=weights,
            checkpoint=scratch / "best.safetensors",
            settings=settings,
        )

        on_validation = fit.predict(model, parts.validation, settings.token_budget)
        scale = fit_scale(on_validation, split.validation.labels, weights.tolist())

        say("writing the int8 model, and judging both on the held-out rows")
        bundle = scratch / "bundle"
        graph.write_onnx(model, scratch / "float.onnx")
        examples = split.train.take(quantise.examples(split.train.labels))
        examples_of_scale = CommentDataset(examples, tokenizer, max_length)
        quantise.write_int8(scratch / "float.onnx", bundle / INT8_MODEL, examples_of_scale)
        write_model(bundle, model, tokenizer, max_length)

        judge = Judge(model, bundle / INT8_MODEL, scale, settings.token_budget)
        reference = judge.float_scores(parts.test)
        metrics = {
            "held_out": evaluate(reference, split.test.labels, scale.thresholds, rows.names),
            "baseline": bag_of_words(split.train, split.validation, split.test),
            "int8": judge.int8(parts.test, split.test, reference),
            "data": _data_figures(data_files, split),
            "training": {"steps": history.steps, "best_step": history.best_step},
        }
        manifest = finish(
            bundle,
            judge.golden(tokenizer, max_length, rows.names),
            Result(
                name=name,
                base_model=models.base_name(base),
                max_length=max_length,
                labels=rows.names,
                thresholds=dict(zip(rows.names, scale.thresholds, strict=True)),
                calibration=dict(zip(rows.names, scale.calibration, strict=True)),
                metrics=metrics,
                data_fingerprint=split.fingerprint,
            ),
        )
    _say_result(out, manifest.version, metrics, time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class Parts:
    """The three parts of a split, tokenised."""

    train: CommentDataset
    validation: CommentDataset
    test: CommentDataset

    @classmethod
    def of(cls, split: Split, tokenizer: Tokenizer, max_length: int) -> Self:
        """Tokenise a split."""
        parts = (split.train, split.validation, split.test)
        return cls(*(CommentDataset(rows, tokenizer, max_length) for rows in parts))


@dataclass(frozen=True, slots=True)
class Judge:
    """Scores rows with the float model in torch and with the int8 model in OpenVINO."""

    model: PreTrainedModel
    int8_model: Path
    scale: Scale
    budget: int

    def float_scores(self, dataset: CommentDataset) -> Floats:
        """Return [rows, labels] calibrated probabilities by the float model."""
        return self.scale.probabilities(fit.predict(self.model, dataset, self.budget))

    def int8(self, dataset: CommentDataset, rows: Rows, reference: Floats) -> dict[str, Figures]:
        """Return how the int8 model differs from the float one, and alone from in a batch.

        Args:
            dataset: held-out rows, tokenised.
            rows: the same rows with their labels.
            reference: their `float_scores`.
        """
        figures: dict[str, Figures] = {}
        few = range(min(ALONE_ROWS, len(dataset)))
        for number_type in number_types():
            engine = Int8Engine(self.int8_model, number_type)
            found = self.scale.probabilities(engine.logits(dataset, self.budget))
            alone = self.scale.probabilities(engine.logits_alone(dataset, few))
            figures[number_type] = {
                "to_float": difference(reference, found, self.scale.thresholds),
                "alone_to_batch": difference(found[: len(few)], alone, self.scale.thresholds),
                "mean_roc_auc": mean_auc(found, rows.labels),
            }
        return figures

    def golden(
        self, tokenizer: Tokenizer, max_length: int, labels: Sequence[str]
    ) -> GoldenComments:
        """Return the golden comments, with a tolerance that the int8 model keeps here."""
        texts = golden.texts_within(tokenizer, max_length)
        unknown = np.full((len(texts), len(labels)), np.nan, np.float32)
        dataset = CommentDataset(Rows(texts, unknown), tokenizer, max_length)
        found = [
            self.scale.probabilities(Int8Engine(self.int8_model, t).logits(dataset, self.budget))
            for t in number_types()
        ]
        return golden.golden_comments(texts, self.float_scores(dataset), np.stack(found), labels)


def _checked(max_length: int, model: PreTrainedModel) -> int:
    most = getattr(model.config, "max_position_embeddings", max_length)
    if not LEAST_LENGTH <= max_length <= most:
        raise TrainingError(
            f"--max-length is {max_length}, the base takes {LEAST_LENGTH} to {most} tokens",
            "choose a length in between; the worker cuts longer comments into pieces",
        )
    return max_length


def _data_figures(files: Sequence[Path], split: Split) -> Figures:
    return {
        "files": [file.name for file in files],
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "evaluation_only": split.evaluation_only,
        "repeated": split.repeated,
    }


def _say_split(split: Split) -> None:
    say(
        f"{len(split.train):,} rows to learn from, {len(split.validation):,} for choices, "
        f"{len(split.test):,} held out; left out: {split.evaluation_only:,} that stand in "
        f"evaluation files, {split.repeated:,} repeated"
    )
    for name, column in zip(split.train.names, split.train.labels.T, strict=True):
        say(f"  {name}: {is_set(column).sum():,} of {np.isfinite(column).sum():,} known")


def _say_result(out: Path, version: str, metrics: dict[str, Figures], seconds: float) -> None:
    ours, theirs = metrics["held_out"], metrics["baseline"]
    say("held out: ROC AUC, of TF-IDF with logistic regression, F1, positives")
    for name, figures in ours["labels"].items():
        base = theirs["labels"][name]
        say(
            f"  {name}: {figures['roc_auc']}, {base['roc_auc']}, {figures['f1']}, "
            f"{figures['positives']}"
        )
    say(f"  mean: {ours['mean_roc_auc']}, {theirs['mean_roc_auc']}, {ours['macro_f1']}")
    say(f"bundle {version} is in {out}, after {seconds / 60:.1f} minutes")
