"""The whole run on one page: data -> split -> tokenise -> fit -> calibrate -> judge -> bundle."""

import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from transformers import PreTrainedModel

from schemas.bundle import BundleManifest
from schemas.errors import TrainingError
from trainer import data, fit, lineage
from trainer import model as models
from trainer.alone import alone_in
from trainer.balanced import with_balanced_identities
from trainer.calibrate import Scale
from trainer.data import LabelledFile
from trainer.data_page import summary, write_data_report
from trainer.data_report import DataReport, data_report
from trainer.disguised import with_disguised
from trainer.distil import Distillation
from trainer.distributed import joined
from trainer.export import refuse_name, refuse_out
from trainer.loss import positive_weights
from trainer.making import Parts, Trained, make_bundle
from trainer.recipe import LEAST_LENGTH, FitSettings
from trainer.say import say
from trainer.split import Split, split_rows

RUN: Final = ".run"  # after the bundle's name: the folder of what its making keeps on its way
OURS: Final = FitSettings()
SMOKE_STEPS: Final = 100  # --max-steps of so few is to show that all of it works


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
    precision: float | None = None,
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
        precision: that the thresholds are to give; None: those of the best F1.
        distillation: a teacher to learn from beside the labels.

    Raises:
        CommentsFileError: a file cannot be read.
        TrainingError: a label is wrong, there are too few rows, the base cannot be loaded or is
            no encoder, a checkpoint is of another run, the teacher is not of these rows, `out`
            cannot be written, another run works beside it, or the int8 model is too far off.
    """
    started = time.monotonic()
    out = out.resolve()
    refuse_out(out)
    refuse_name(name)
    folder = out.with_name(out.name + RUN)
    with ExitStack() as held:
        with joined() as world:
            rows, read = data.read_files(files), files
            if distillation:
                rows, read = distillation.with_unlabelled(rows), [*files, distillation.file]
            split = split_rows(rows, data.evaluation_texts(files), split_seed)
            torch.manual_seed(settings.seed)  # of the fresh head
            model = models.load_model(base, rows.names)
            tokenizer = models.clean_tokenizer(base)
            models.refuse_more_words(tokenizer, model, base)
            _check(max_length, model)
            began_at = _began_at(base, split, files) if world.first else None
            before = models.bundle_at(base)
            _must_speak_of_all_labels(split, before)
            if world.first:
                held.enter_context(alone_in(folder))
                _report_on_data(folder, data_report(read, rows, split, tokenizer))
            train_rows = distillation.taught(split) if distillation else split.train
            taught = train_rows
            if settings.balance_identities:
                taught = with_balanced_identities(taught, settings.seed)
                say(f"{len(taught) - len(train_rows):,} harmless rows that name groups are added")
            taught = with_disguised(taught, settings.disguise, settings.seed)
            parts = Parts.of(replace(split, train=taught), tokenizer, max_length)
            weights = positive_weights(train_rows.labels, settings.balance)
            if fresh and world.first:
                shutil.rmtree(folder / fit.CHECKPOINTS, ignore_errors=True)
            world.wait()
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

        manifest = make_bundle(
            Trained(
                model=model,
                tokenizer=tokenizer,
                max_length=max_length,
                name=name,
                base_model=models.base_name(base),
                files=files,
                split=split,
                parts=parts,
                positive_weights=weights.tolist(),
                budget=settings.token_budget,
                precision=precision,
                metrics={
                    "training": {
                        "steps": history.steps,
                        "best_step": history.best_step,
                        "settings": settings.model_dump(mode="json"),
                        "began_at": began_at,
                        "teacher": distillation.figures() if distillation else None,
                    }
                },
                scale_before=Scale.of(before) if before else None,
                cut_short=settings.max_steps is not None and history.steps <= SMOKE_STEPS,
            ),
            out,
        )
        shutil.rmtree(folder / fit.CHECKPOINTS)
    minutes = (time.monotonic() - started) / 60
    say(f"bundle {manifest.version} is in {out}, after {minutes:.1f} minutes")


def _began_at(
    base: str | None, split: Split, files: Sequence[LabelledFile]
) -> dict[str, Any] | None:
    """Return what a bundle states of the one at whose weights training began, if it was one.

    What that one may know, and is held out here, makes figures too good: said aloud.
    """
    if (before := models.bundle_at(base)) is None:
        return None
    names = (file.path.name for file in files)
    found = lineage.began_at(before, names, split.held_out_fingerprint)
    if found["may_know"]:
        say(
            f"WARNING: {before.name} {before.version} has learnt from "
            f"{', '.join(found['may_know'])}, and other rows were held out then than are held out "
            "here: trust no figure on these"
        )
    return found


def _must_speak_of_all_labels(split: Split, before: BundleManifest | None) -> None:
    """Refuse rows that leave a label to chance: its threshold is found on those for validation."""
    rows = split.validation
    spoken_of = zip(rows.names, data.spoken_of(rows.labels), strict=True)
    unknown = [name for name, it_is in spoken_of if not it_is]
    if not unknown:
        return
    if before is None:
        raise TrainingError(
            f"no row that is held out for validation says anything of {', '.join(unknown)}",
            "add a file with these labels, or go on from a bundle that has them, with --base",
        )
    say(f"{', '.join(unknown)}: in no row; calibration and threshold of {before.name} are kept")


def _check(max_length: int, model: PreTrainedModel) -> None:
    most = models.longest(model) or max_length
    if not LEAST_LENGTH <= max_length <= most:
        raise TrainingError(
            f"--max-length is {max_length}, the base takes {LEAST_LENGTH} to {most} tokens",
            "choose a length in between; the worker cuts longer comments into pieces",
        )


def _report_on_data(folder: Path, report: DataReport) -> None:
    write_data_report(folder, report)
    for line in summary(report):
        say(line)
    say(f"the whole report, with pictures, is {folder / 'data.md'}")
