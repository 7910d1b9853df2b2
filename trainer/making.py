"""A trained model to a bundle: calibrate -> int8 -> judge both -> golden comments -> manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from schemas.bundle import FLOAT_MODEL, INT8_MODEL, BundleManifest, GoldenComments
from schemas.errors import TrainingError
from trainer import fit, golden, graph, quantise
from trainer.baseline import bag_of_words
from trainer.calibrate import Floats, Scale, fit_scale
from trainer.data import LabelledFile, Rows
from trainer.dataset import CommentDataset
from trainer.evaluate import Figures, Judged, evaluate, mean_auc
from trainer.evaluate import difference as paired_difference
from trainer.export import Result, finish, unfinished, write_model
from trainer.quantise import difference
from trainer.say import say
from trainer.split import Split

ALONE_ROWS: Final = 500  # scored once more one at a time, to see whether neighbours matter
FEW_ALONE_ROWS: Final = 100  # of a model that was cut short
INT8_BOUND: Final = 0.001  # of mean ROC AUC, by which int8 may be worse than float


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
class Trained:
    """A model whose weights are settled, and what it was made of.

    Attributes:
        model: an encoder with a head of one logit for each label.
        tokenizer: with the cleaning.
        max_length: tokens in a piece, [CLS] and [SEP] included.
        name: of the bundle.
        base_model: as the bundle states it.
        files: of which its rows are.
        split: of these rows; it has learnt from none but those of `split.train`.
        parts: the same, tokenised.
        positive_weights: [labels] of a positive in the loss.
        budget: padded tokens in a batch.
        precision: that the thresholds are to give; None: those of the best F1.
        metrics: how it came about, beside what is measured here.
        scale_before: of the bundle that training began at, or of a member of a mean: labels that
            no row knows keep it.
        cut_short: it was given too few steps to rank comments by more than rounding.
    """

    model: PreTrainedModel
    tokenizer: Tokenizer
    max_length: int
    name: str
    base_model: str
    files: Sequence[LabelledFile]
    split: Split
    parts: Parts
    positive_weights: Sequence[float]
    budget: int
    precision: float | None
    metrics: Mapping[str, Any]
    scale_before: Scale | None = None
    cut_short: bool = False


def make_bundle(trained: Trained, out: Path) -> BundleManifest:
    """Write the bundle to `out`, whole or not at all, and say how good it is.

    Raises:
        TrainingError: the int8 model is too far off, or `out` cannot be written.
    """
    model, parts, split, budget = trained.model, trained.parts, trained.split, trained.budget
    labels = split.test.names
    on_validation = fit.predict(model, parts.validation, budget)
    on_test = fit.predict(model, parts.test, budget)
    model.cpu()  # from here on it is written, and set beside what a CPU makes of it
    scale = fit_scale(
        on_validation,
        split.validation.labels,
        trained.positive_weights,
        trained.precision,
        trained.scale_before,
    )
    say("writing the int8 model, and judging both on the held-out rows")
    with unfinished(out) as scratch:
        bundle = scratch / "bundle"
        graph.write_onnx(model, bundle / FLOAT_MODEL)
        number = quantise.FEW_EXAMPLES if trained.cut_short else quantise.EXAMPLES
        examples = split.train.take(quantise.examples(split.train.labels, number))
        examples_of_scale = CommentDataset(examples, trained.tokenizer, trained.max_length)
        quantise.write_int8(bundle / FLOAT_MODEL, bundle / INT8_MODEL, examples_of_scale)
        write_model(bundle, model, trained.tokenizer, trained.max_length)

        judge = Judge(model, bundle / INT8_MODEL, scale, budget, lenient=trained.cut_short)
        reference = scale.probabilities(on_test)
        metrics = {
            "held_out": evaluate(reference, split.test.labels, scale.thresholds, labels),
            "baseline": bag_of_words(_labelled(split.train), split.validation, split.test),
            "int8": judge.int8(parts.test, split.test, reference),
            "data": data_figures(trained.files, split),
            "thresholds": {"precision": trained.precision},
            **trained.metrics,
        }
        manifest = finish(
            bundle,
            judge.golden(trained.tokenizer, trained.max_length, labels),
            Result(
                name=trained.name,
                base_model=trained.base_model,
                max_length=trained.max_length,
                labels=labels,
                thresholds=dict(zip(labels, scale.thresholds, strict=True)),
                calibration=dict(zip(labels, scale.calibration, strict=True)),
                metrics=metrics,
                data_fingerprint=split.fingerprint,
            ),
        )
    _say_figures(metrics)
    return manifest


@dataclass(frozen=True, slots=True)
class Judge:
    """Scores rows with the float model in torch and with the int8 model in each engine.

    Attributes:
        model: the float one.
        int8_model: its file.
        scale: from logits to probabilities.
        budget: padded tokens in a batch.
        lenient: an int8 model that is too far off is said to be, and not refused.
    """

    model: PreTrainedModel
    int8_model: Path
    scale: Scale
    budget: int
    lenient: bool

    def float_scores(self, dataset: CommentDataset) -> Floats:
        """Return [rows, labels] calibrated probabilities by the float model."""
        return self.scale.probabilities(fit.predict(self.model, dataset, self.budget))

    def int8(self, dataset: CommentDataset, rows: Rows, reference: Floats) -> dict[str, Figures]:
        """Return how the int8 model differs from the float one, and alone from in a batch.

        Args:
            dataset: held-out rows, tokenised.
            rows: the same rows with their labels.
            reference: their `float_scores`.

        Raises:
            TrainingError: it is worse by more than INT8_BOUND, and not by chance; not if lenient.
        """
        figures: dict[str, Figures] = {}
        few = range(min(FEW_ALONE_ROWS if self.lenient else ALONE_ROWS, len(dataset)))
        for name, engine in quantise.engines(self.int8_model).items():
            found = self.scale.probabilities(engine.logits(dataset, self.budget))
            alone = self.scale.probabilities(engine.logits_alone(dataset, few))
            figures[name] = {
                "to_float": difference(reference, found, self.scale.thresholds),
                "alone_to_batch": difference(found[: len(few)], alone, self.scale.thresholds),
                "mean_roc_auc": mean_auc(found, rows.labels),
            }
            refuse_worse(reference, found, self.scale.thresholds, rows, lenient=self.lenient)
        return figures

    def golden(
        self, tokenizer: Tokenizer, max_length: int, labels: Sequence[str]
    ) -> GoldenComments:
        """Return the golden comments, with a tolerance that the int8 model keeps here."""
        texts = golden.texts_within(tokenizer, max_length)
        dataset = CommentDataset(Rows.unlabelled(texts, labels), tokenizer, max_length)
        found = [
            self.scale.probabilities(engine.logits(dataset, self.budget))
            for engine in quantise.engines(self.int8_model).values()
        ]
        scores = self.float_scores(dataset)
        return golden.golden_comments(texts, scores, np.stack(found), labels, lenient=self.lenient)


def refuse_worse(
    reference: Floats, found: Floats, thresholds: Sequence[float], rows: Rows, *, lenient: bool
) -> None:
    """Refuse an int8 model that is worse than the float one, and not by chance.

    Few rows show a large difference by chance: the whole interval has to be over INT8_BOUND.

    Args:
        reference: [rows, labels] calibrated probabilities by the float model.
        found: [rows, labels] by the int8 model.
        thresholds: [labels].
        rows: with their labels.
        lenient: say so, and take it: a model that was given a few steps ranks by rounding.

    Raises:
        TrainingError: it is.
    """
    floating, quantised = (
        Judged(scores, rows.labels, thresholds, rows.names) for scores in (reference, found)
    )
    worse = paired_difference(floating, quantised)["mean_roc_auc"]
    interval = worse["interval"]
    if interval is not None and interval[0] > INT8_BOUND:
        error = TrainingError(
            f"the int8 model's mean ROC AUC is {worse['difference']:.4f} below that of the "
            f"float one ({interval[0]:.4f} to {interval[1]:.4f}), at most {INT8_BOUND} allowed",
            "train on more rows, of all labels: the scales of int8 are taken from them",
        )
        if not lenient:
            raise error
        say(f"{error} (taken all the same: the training was cut short)")


def data_figures(files: Sequence[LabelledFile], split: Split) -> Figures:
    """Return what a bundle states of its data."""
    return {
        "files": [file.path.name for file in files],
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "evaluation_only": split.evaluation_only,
        "repeated": split.repeated,
        "held_out_fingerprint": split.held_out_fingerprint,
    }


def _labelled(rows: Rows) -> Rows:
    return rows.take(np.flatnonzero(np.isfinite(rows.labels).any(axis=1)))


def _say_figures(metrics: Mapping[str, Any]) -> None:
    ours, theirs = metrics["held_out"], metrics["baseline"]
    say("held out: ROC AUC, of TF-IDF with logistic regression, F1, positives")
    for name, figures in ours["labels"].items():
        base = theirs["labels"][name]
        say(
            f"  {name}: {figures['roc_auc']}, {base['roc_auc']}, {figures['f1']}, "
            f"{figures['positives']}"
        )
    say(f"  mean: {ours['mean_roc_auc']}, {theirs['mean_roc_auc']}, {ours['macro_f1']}")
