"""The whole run on one page: data -> split -> tokenise -> fit -> calibrate -> judge -> bundle."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from trainer.data import LabelledFile, Rows
from trainer.data_page import summary, write_data_report
from trainer.data_report import DataReport, data_report
from trainer.dataset import CommentDataset
from trainer.distil import Distillation
from trainer.distributed import joined
from trainer.evaluate import Figures, evaluate, mean_auc
from trainer.export import Result, finish, refuse_other, unfinished, write_model
from trainer.loss import positive_weights
from trainer.quantise import Int8Engine, difference, number_types
from trainer.recipe import FitSettings
from trainer.say import say
from trainer.split import Split, split_rows

LEAST_LENGTH: Final = 8  # tokens: [CLS], [SEP] and a few
RUN: Final = ".run"  # after the bundle's name: the folder of what its making keeps on its way
OURS: Final = FitSettings()
ALONE_ROWS: Final = 500  # scored once more one at a time, to see whether neighbours matter


def train(  # noqa: PLR0913 - the options of `tidegate train`, each with its default
    files: Sequence[LabelledFile],
    out: Path,
    base: str | None = None,
    *,
    settings: FitSettings = OURS,
    max_length: int = 128,
    name: str = "tide-1",
    split_seed: int = 0,
    fresh: bool = False,
    distillation: Distillation | None = None,
) -> None:
    """Make a bundle from labelled files.

    What the run keeps on its way lies in a folder beside `out`, with `.run` at its end: a
    report on the data, curves for TensorBoard and, until the bundle is there, its checkpoints,
    from which the same command goes on if it was ended.

    Args:
        files: labelled files, at least one of the labels in each.
        out: the folder that becomes the bundle, whole or not at all.
        base: a folder or a name on the hub; None for the 6-layer BERT of the full install.
        settings: how the model is trained.
        max_length: tokens in a piece, [CLS] and [SEP] included.
        name: of the bundle.
        split_seed: of the split; runs that are to be compared or averaged share it.
        fresh: drop the checkpoints of a run that was ended, and start anew.
        distillation: a teacher to learn from beside the labels.

    Raises:
        CommentsFileError: a file cannot be read.
        TrainingError: a label is wrong, there are too few rows, the base cannot be loaded or is
            no encoder, a checkpoint is of another run, the teacher is not of these rows, or `out`
            cannot be written.
    """
    started = time.monotonic()
    out = out.resolve()
    folder = out.with_name(out.name + RUN)
    refuse_other(out)
    with joined() as world:
        if fresh and world.first:
            shutil.rmtree(folder / fit.CHECKPOINTS, ignore_errors=True)
        world.wait()
        rows, read = data.read_files(files), files
        if distillation:
            rows, read = distillation.with_unlabelled(rows), [*files, distillation.file]
        split = split_rows(rows, data.evaluation_texts(files), split_seed)
        torch.manual_seed(settings.seed)  # of the fresh head
        model = models.load_model(base, rows.names)
        tokenizer = models.clean_tokenizer(base)
        _check(max_length, model)
        if world.first:
            _report_on_data(folder, data_report(read, rows, split, tokenizer))
        train_rows = distillation.taught(split) if distillation else split.train
        parts = Parts.of(replace(split, train=train_rows), tokenizer, max_length)
        weights = positive_weights(train_rows.labels, settings.balance)
        history = fit.fit(
            model,
            parts.train,
            parts.validation,
            weights=weights,
            folder=folder,
            settings=settings,
            world=world,
        )
        if not world.first:
            return

    budget = settings.token_budget
    on_validation = fit.predict(model, parts.validation, budget)
    on_test = fit.predict(model, parts.test, budget)
    model.cpu()  # from here on it is written, and set beside what a CPU makes of it
    scale = fit_scale(on_validation, split.validation.labels, weights.tolist())
    say("writing the int8 model, and judging both on the held-out rows")
    with unfinished(out) as scratch:
        bundle = scratch / "bundle"
        graph.write_onnx(model, scratch / "float.onnx")
        examples = split.train.take(quantise.examples(split.train.labels))
        examples_of_scale = CommentDataset(examples, tokenizer, max_length)
        quantise.write_int8(scratch / "float.onnx", bundle / INT8_MODEL, examples_of_scale)
        write_model(bundle, model, tokenizer, max_length)

        judge = Judge(model, bundle / INT8_MODEL, scale, budget)
        reference = scale.probabilities(on_test)
        metrics = {
            "held_out": evaluate(reference, split.test.labels, scale.thresholds, rows.names),
            "baseline": bag_of_words(_labelled(split.train), split.validation, split.test),
            "int8": judge.int8(parts.test, split.test, reference),
            "data": _data_figures(files, split, distillation),
            "training": {
                "steps": history.steps,
                "best_step": history.best_step,
                "settings": settings.model_dump(mode="json"),
            },
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
    shutil.rmtree(folder / fit.CHECKPOINTS)
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
        dataset = CommentDataset(Rows.unlabelled(texts, labels), tokenizer, max_length)
        found = [
            self.scale.probabilities(Int8Engine(self.int8_model, t).logits(dataset, self.budget))
            for t in number_types()
        ]
        return golden.golden_comments(texts, self.float_scores(dataset), np.stack(found), labels)


def _check(max_length: int, model: PreTrainedModel) -> None:
    most = models.longest(model) or max_length
    if not LEAST_LENGTH <= max_length <= most:
        raise TrainingError(
            f"--max-length is {max_length}, the base takes {LEAST_LENGTH} to {most} tokens",
            "choose a length in between; the worker cuts longer comments into pieces",
        )


def _labelled(rows: Rows) -> Rows:
    return rows.take(np.flatnonzero(np.isfinite(rows.labels).any(axis=1)))


def _data_figures(
    files: Sequence[LabelledFile], split: Split, distillation: Distillation | None
) -> Figures:
    return {
        "files": [file.path.name for file in files],
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "evaluation_only": split.evaluation_only,
        "repeated": split.repeated,
        "held_out_fingerprint": split.held_out_fingerprint,
        "teacher": distillation.figures() if distillation else None,
    }


def _report_on_data(folder: Path, report: DataReport) -> None:
    write_data_report(folder, report)
    for line in summary(report):
        say(line)
    say(f"the whole report, with pictures, is {folder / 'data.md'}")


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
