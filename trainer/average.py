"""Several trainings of one base as one model: the mean of their weights, at the price of one.

Members that began at the same weights lie in one valley of the loss, and between them it is
lower than at any of them. Chosen greedily by validation rows, so that a member that does not
help is left out.

Source: Wortsman et al. 2022, "Model soups", arXiv 2203.05482, recipe 1.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from schemas.bundle import FLOAT_WEIGHTS, BundleManifest, read_manifest, verify
from schemas.errors import TrainingError
from trainer import data, fit
from trainer import model as models
from trainer.archives import without_packing
from trainer.bootstrap import Floats
from trainer.calibrate import Scale, fit_scale
from trainer.data import LabelledFile, Labels, is_set
from trainer.evaluate import Figures
from trainer.export import refuse_name, refuse_out
from trainer.lineage import may_know
from trainer.making import Parts, Trained, make_bundle
from trainer.recipe import FitSettings
from trainer.say import say
from trainer.split import Split, split_rows

BUDGET: Final = FitSettings().token_budget
LEAST_MEMBERS: Final = 2
SURE: Final = 1e-7  # a probability is kept so far from 0 and 1 in the log

Weights = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Member:
    """A bundle that takes part, with its float weights."""

    manifest: BundleManifest
    weights: Weights

    @property
    def name(self) -> str:
        """Its name and version: bundles of several seeds often have one name."""
        return f"{self.manifest.name} {self.manifest.version}"


def average(  # noqa: PLR0913 - the options of `tidegate average`
    members: Sequence[Path],
    files: Sequence[LabelledFile],
    out: Path,
    *,
    name: str,
    split_seed: int = 0,
    precision: float | None = None,
) -> None:
    """Make one bundle of several: mean of weights, calibrated, quantised and judged anew.

    Args:
        members: bundles with float weights, of one base, labels and length.
        files: all labelled files that they were made from.
        out: the folder that becomes the bundle, whole or not at all.
        name: of the bundle.
        split_seed: with which the members were trained.
        precision: that the thresholds are to give; None: those of the best F1.

    Raises:
        CommentsFileError: a file cannot be read.
        BundleError: a member is incomplete or was changed.
        TrainingError: the members do not fit together, or not to these files; or `out` cannot
            be written.
    """
    started = time.monotonic()
    out = out.resolve()
    refuse_out(out)
    refuse_name(name)
    found = [_member(folder) for folder in members]
    _must_be_alike(found, members)
    rows = data.read_files(files)
    split = split_rows(rows, data.evaluation_texts(files), split_seed)
    _must_have_held_out(found, split, files)

    model = models.load_model(str(members[0]), rows.names)
    tokenizer = models.clean_tokenizer(str(members[0]))
    first = found[0].manifest
    parts = Parts.of(split, tokenizer, first.max_length)
    ones = [1.0] * len(rows.names)  # the weights of positives differ: calibration undoes them all

    def loss_of(weights: Weights) -> float:
        model.load_state_dict(weights)
        logits = fit.predict(model, parts.validation, BUDGET)
        return validation_loss(logits, split.validation.labels)

    kept, losses = greedy([member.weights for member in found], loss_of)
    _say_choice(found, kept, losses)
    model.load_state_dict(mean_of([found[i].weights for i in kept]))
    manifest = make_bundle(
        Trained(
            model=model,
            tokenizer=tokenizer,
            max_length=first.max_length,
            name=name,
            base_model=first.base_model,
            files=files,
            split=split,
            parts=parts,
            positive_weights=ones,
            budget=BUDGET,
            precision=precision,
            scale_before=Scale.of(first),
            metrics={"average": _figures(found, kept, losses)},
        ),
        out,
    )
    minutes = (time.monotonic() - started) / 60
    say(f"bundle {manifest.version} is in {out}, after {minutes:.1f} minutes")


def greedy(
    members: Sequence[Weights], loss_of: Callable[[Weights], float]
) -> tuple[list[int], list[float]]:
    """Choose members, the best first, each only if the mean of weights is better with it.

    Args:
        members: the weights of each.
        loss_of: weights to their loss on rows that no member has learnt from.

    Returns:
        The positions of those that are kept, and the loss of each member by itself.
    """
    losses = [loss_of(weights) for weights in members]
    best_first = sorted(range(len(members)), key=losses.__getitem__)
    kept, lowest = best_first[:1], losses[best_first[0]]
    for candidate in best_first[1:]:
        loss = loss_of(mean_of([members[i] for i in [*kept, candidate]]))
        if loss < lowest:
            kept, lowest = [*kept, candidate], loss
    return kept, losses


def mean_of(members: Sequence[Weights]) -> Weights:
    """Return the mean of weights, tensor by tensor; what counts (positions) is the first's."""
    return {
        name: torch.stack([weights[name].double() for weights in members]).mean(0).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in members[0].items()
    }


def validation_loss(logits: Floats, labels: Labels) -> float:
    """Return the mean log loss of calibrated probabilities over the labels that are known.

    Args:
        logits: [rows, labels] of validation rows, on which they are calibrated here, too: with
            two numbers a label the loss of all members is as little too low.
        labels: [rows, labels] in 0..1, NaN where not known.
    """
    scale = fit_scale(logits, labels, [1.0] * labels.shape[1])
    known = np.isfinite(labels)
    p = np.clip(scale.probabilities(logits)[known], SURE, 1 - SURE)
    return float(-np.log(np.where(is_set(labels[known]), p, 1 - p)).mean())


def _member(folder: Path) -> Member:
    manifest = read_manifest(folder)
    if not (folder / FLOAT_WEIGHTS).is_file():
        raise TrainingError(
            f"{folder} has no {FLOAT_WEIGHTS}, only int8, as bundles are shipped",
            "give the folder that `tidegate train` wrote",
        )
    verify(folder, manifest, (FLOAT_WEIGHTS,))
    model: PreTrainedModel = models.load_model(str(folder), manifest.labels)
    weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    return Member(manifest, weights)


def _must_be_alike(members: Sequence[Member], folders: Sequence[Path]) -> None:
    """Refuse members whose weights do not mean the same place by place."""
    if len(members) < LEAST_MEMBERS:
        raise TrainingError("a mean needs two members or more", "give more bundles")
    first = members[0]
    words = models.load_tokenizer(str(folders[0])).get_vocab()
    for member, folder in zip(members[1:], folders[1:], strict=True):
        theirs = {name: tensor.shape for name, tensor in member.weights.items()}
        differs = {
            "labels": member.manifest.labels != first.manifest.labels,
            "base": member.manifest.base_model != first.manifest.base_model,
            "max_length": member.manifest.max_length != first.manifest.max_length,
            "shape of the weights": theirs != {n: t.shape for n, t in first.weights.items()},
            "vocabulary": models.load_tokenizer(str(folder)).get_vocab() != words,
        }
        if wrong := [what for what, it_does in differs.items() if it_does]:
            raise TrainingError(
                f"{member.name} has another {' and another '.join(wrong)} than {first.name}",
                "average bundles that were trained from one base with one --max-length; "
                "`tidegate ensemble` makes a teacher of others",
            )


def _must_have_held_out(
    members: Sequence[Member], split: Split, files: Sequence[LabelledFile]
) -> None:
    """Refuse a member that may have learnt from rows that the mean is chosen or judged by."""
    names = {without_packing(file.path.name) for file in files}
    for member in members:
        its = member.manifest.metrics.get("data", {})
        if missing := set(map(without_packing, its.get("files", ()))) - names:
            raise TrainingError(
                f"{member.name} has learnt from {', '.join(sorted(missing))}, too",
                "give all files that the members were made from",
            )
        same = member.manifest.data_fingerprint == split.fingerprint
        if not same and its.get("held_out_fingerprint") != split.held_out_fingerprint:
            raise TrainingError(
                f"{member.name} held out other rows than these files with this --split-seed give",
                "give the files and the --split-seed of its training, in their order",
            )
        if files_known := may_know(member.manifest):
            raise TrainingError(
                f"{member.name} began at a bundle that had learnt from {', '.join(files_known)} "
                "when other rows were held out",
                "leave it out: it may know rows by which the mean is chosen and judged",
            )


def _say_choice(members: Sequence[Member], kept: Sequence[int], losses: Sequence[float]) -> None:
    for i, (member, loss) in enumerate(zip(members, losses, strict=True)):
        say(f"{member.name}: validation loss {loss:.4f}, {'kept' if i in kept else 'left out'}")


def _figures(members: Sequence[Member], kept: Sequence[int], losses: Sequence[float]) -> Figures:
    return {
        "members": [
            {
                "name": member.manifest.name,
                "version": member.manifest.version,
                "validation_loss": round(loss, 5),
                "kept": i in kept,
                "training": member.manifest.metrics.get("training"),
                "files": member.manifest.metrics.get("data", {}).get("files"),
            }
            for i, (member, loss) in enumerate(zip(members, losses, strict=True))
        ]
    }
