"""`tidegate evaluate` on one page: rows -> models -> figures, pictures, one report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np

from schemas.bundle import FLOAT_WEIGHTS, INT8_MODEL, MANIFEST, BundleManifest
from schemas.errors import TrainingError
from trainer import data, predictors
from trainer.amend import Maps, amend
from trainer.archives import without_packing
from trainer.baseline import BagOfWords
from trainer.bias import BiasRows, bias, read_bias
from trainer.bootstrap import Floats
from trainer.curves import Curve, draw
from trainer.data import LabelledFile, Rows
from trainer.evaluate import Figures, Judged, difference, evaluate, mean_auc
from trainer.lineage import learnt_from, may_know
from trainer.making import INT8_BOUND
from trainer.perspective import NAME, perspective, read_perspective
from trainer.predictors import Predictor
from trainer.quantise import difference as int8_difference
from trainer.report import make_folder, write_report
from trainer.say import say
from trainer.split import Split, split_rows
from trainer.strength import strength
from trainer.swap import swap

Which = Literal["held-out", "all"]

TOXIC: Final = "toxic"  # the label that the bias files judge


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be judged, and by what.

    Attributes:
        models: bundles by folder, or models by folder or name; the first is compared with all.
        files: labelled files.
        rows: which of their rows; None: all of them, unless a bundle was made from one.
        split_seed: of the split that the bundles were made with.
        baseline: whether TF-IDF, fitted on the rows that are not held out, stands beside.
        disguise: whether strength against disguise is measured.
        against: the bundle that the first model would replace.
        bias: files of comments that name groups of people.
        perspective: a file with Perspective's scores.
        write: whether the first model, a bundle, gets the figures on disguise and bias, and the
            maps to other scales.
    """

    models: Sequence[str]
    files: Sequence[LabelledFile]
    rows: Which | None = None
    split_seed: int = 0
    baseline: bool = False
    disguise: bool = True
    against: str | None = None
    bias: Sequence[Path] = field(default=())
    perspective: Path | None = None
    write: bool = False


@dataclass(frozen=True, slots=True)
class Beside:
    """What the models are judged by beside the labels: read before anything is scored."""

    bias: Sequence[BiasRows]
    perspective: tuple[list[str], dict[str, Floats]] | None
    against: Predictor | None

    @classmethod
    def of(cls, asked: Asked) -> "Beside":
        """Read what was asked for; raises as `judge`."""
        return cls(
            [read_bias(path) for path in asked.bias],
            read_perspective(asked.perspective) if asked.perspective else None,
            predictors.predictor(asked.against) if asked.against else None,
        )


def judge(asked: Asked, out: Path) -> Figures:
    """Judge models on labelled rows, and write report.json, report.html and pictures to `out`.

    Raises:
        CommentsFileError: a file cannot be read.
        BundleError: a bundle is incomplete or was changed.
        TrainingError: a model cannot be loaded, its rows may have been learnt from, an option
            lacks what it needs, or `out` cannot be written.
    """
    if asked.write and not (Path(asked.models[0]) / MANIFEST).is_file():
        raise TrainingError(
            f"--write: {asked.models[0]} is no bundle", "give a bundle as the first model"
        )
    models = [predictors.predictor(reference) for reference in asked.models]
    rows, split, which = _rows(asked, [model.manifest for model in models])
    if asked.baseline:
        models.append(_baseline(split))
    models = _told_apart(models)
    make_folder(out)
    beside = Beside.of(asked)
    say(f"{len(rows):,} rows, {len(models)} models")

    scored = [Scored.of(model, rows) for model in models]
    first = scored[0]
    report: Figures = {
        "data": which,
        "models": {one.name: one.figures() for one in scored},
        "differences": {
            f"{first.name} less {other.name}": difference(*_on_common_labels(first, other, rows))
            for other in scored[1:]
        },
        "int8": {
            one.name: _agreement(Path(reference), one, rows)
            for reference, one in zip(asked.models, scored, strict=False)
            if (Path(reference) / INT8_MODEL).is_file()
            and (Path(reference) / FLOAT_WEIGHTS).is_file()
        },
    }
    if asked.disguise:
        report["strength"] = _for_each(scored, "disguise", lambda one: one.strength(rows))
    if beside.bias:
        report["bias"] = _bias(scored, beside.bias)
    found, maps = _other_scales(beside, first, rows)
    report |= found
    pictures = draw(_panels(scored, rows), out)
    write_report(out, report, pictures)
    if asked.write:
        manifest = amend(Path(asked.models[0]), _for_the_card(report, first.name), maps)
        say(f"{asked.models[0]} states what was measured; it is version {manifest.version} now")
    return report


@dataclass(frozen=True, slots=True)
class Scored:
    """A model with its probabilities of the judged rows, [rows, labels]."""

    model: Predictor
    labels: tuple[str, ...]
    scores: Floats
    judged: Judged

    @classmethod
    def of(cls, model: Predictor, rows: Rows) -> "Scored":
        """Score the rows for the labels that the model and the rows have."""
        labels = tuple(
            name for name, there in zip(rows.names, data.spoken_of(rows.labels), strict=True)
            if there and name in model.labels
        )  # fmt: skip
        if not labels:
            raise TrainingError(
                f"{model.name} has none of the labels that the files have",
                f"files may have {', '.join(rows.names)}",
            )
        say(f"scoring with {model.name}")
        scores = model.of(rows.texts, labels)
        thresholds = [model.thresholds[label] for label in labels]
        return cls(model, labels, scores, Judged(scores, _labels(rows, labels), thresholds, labels))

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    def figures(self) -> Figures:
        """Return all figures with intervals; `version` of a bundle."""
        manifest = self.model.manifest
        labels = np.where(self.judged.known, self.judged.positive, np.nan).astype(np.float32)
        found = evaluate(self.scores, labels, self.judged.thresholds, self.labels)
        return {"version": manifest.version if manifest else None, **found}

    def strength(self, rows: Rows) -> Figures:
        """Return its strength against disguise on the judged rows."""
        return strength(
            lambda texts: self.model.of(texts, self.labels),
            rows.texts,
            _labels(rows, self.labels),
            self.judged.thresholds,
        )

    def by_label(self, texts: Sequence[str] | None = None) -> dict[str, Floats]:
        """Return the probabilities of the judged rows, or of texts, by label."""
        scores = self.scores if texts is None else self.model.of(texts, self.labels)
        return dict(zip(self.labels, scores.T, strict=True))


def _rows(
    asked: Asked, manifests: Sequence[BundleManifest | None]
) -> tuple[Rows, Split | None, Figures]:
    """Return the rows to judge by, the split if they are its test part, and what to say of it."""
    names = {file.path.name for file in asked.files}
    made_from = {
        manifest.name
        for manifest in manifests
        if manifest and {*map(without_packing, names)} & learnt_from(manifest)
    }
    if asked.rows is None and made_from:
        raise TrainingError(
            f"{', '.join(sorted(made_from))}: made from one of these files",
            "give --rows held-out and all files that it was made from, to judge by the rows that "
            "were held out; or --rows all, to judge by rows that it has learnt from, too",
        )
    if asked.rows == "held-out":
        return _held_out(asked, manifests)
    rows = data.read_files_to_judge_by(asked.files)
    judged_only = all(data.is_evaluation_only(file.path) for file in asked.files)
    return (
        rows,
        None,
        {
            "files": sorted(names),
            "rows": len(rows),
            "part": "all rows",
            "warning": None
            if judged_only
            else "Nothing says that the models have not learnt from these rows.",
        },
    )


def _held_out(
    asked: Asked, manifests: Sequence[BundleManifest | None]
) -> tuple[Rows, Split, Figures]:
    """Split as the trainer does, and make sure that the bundles were made with this split."""
    rows = data.read_files(asked.files)
    split = split_rows(rows, data.evaluation_texts(asked.files), asked.split_seed)
    for manifest in filter(None, manifests):
        held_out = manifest.metrics.get("data", {}).get("held_out_fingerprint")
        if (
            split.fingerprint != manifest.data_fingerprint
            and split.held_out_fingerprint != held_out
        ):
            raise TrainingError(
                f"{manifest.name}: made with the split {manifest.data_fingerprint}, these files "
                f"with seed {asked.split_seed} give {split.fingerprint}: it may have learnt from "
                "the rows that would be held out",
                "give the files (weights and order, too) and --split-seed of its training",
            )
        if files := may_know(manifest):
            raise TrainingError(
                f"{manifest.name}: the bundle that its training began at had learnt from "
                f"{', '.join(files)} when other rows were held out",
                "judge it by labelled rows that neither has learnt from, without --rows held-out",
            )
    others = any(manifest is None for manifest in manifests)
    return (
        split.test,
        split,
        {
            "files": sorted(file.path.name for file in asked.files),
            "rows": len(split.test),
            "part": f"the test part of the split {split.fingerprint} (seed {asked.split_seed})",
            "warning": "Nothing says that models without bundle.json have not seen these rows."
            if others
            else None,
        },
    )


def _baseline(split: Split | None) -> Predictor:
    if split is None:
        raise TrainingError(
            "--baseline needs rows to learn from", "give --rows held-out: it learns from the others"
        )
    say("fitting TF-IDF with logistic regression")
    fitted = BagOfWords.fitted(split.train, split.validation)
    thresholds = dict(zip(fitted.names, fitted.thresholds, strict=True))
    return Predictor("TF-IDF", fitted.names, thresholds, fitted.probabilities)


def _told_apart(models: Sequence[Predictor]) -> list[Predictor]:
    """Give models of one name the version, or a number, after it."""
    names = [model.name for model in models]
    renamed: list[Predictor] = []
    for i, model in enumerate(models):
        if names.count(model.name) > 1:
            mark = model.manifest.version[:8] if model.manifest else str(i + 1)
            name = f"{model.name} {mark}"
            taken = {other.name for other in renamed}
            name = name if name not in taken else f"{name} {i + 1}"
        else:
            name = model.name
        renamed.append(
            Predictor(name, model.labels, model.thresholds, model.probabilities, model.manifest)
        )
    return renamed


def _on_common_labels(first: Scored, other: Scored, rows: Rows) -> tuple[Judged, Judged]:
    """Return both judged on the labels that both know."""
    labels = [label for label in first.labels if label in other.labels]
    if not labels:
        raise TrainingError(f"{first.name} and {other.name} have no label in common", None)

    def judged(one: Scored) -> Judged:
        columns = [one.labels.index(label) for label in labels]
        thresholds = [one.judged.thresholds[i] for i in columns]
        return Judged(one.scores[:, columns], _labels(rows, labels), thresholds, labels)

    return judged(first), judged(other)


def _agreement(folder: Path, floating: Scored, rows: Rows) -> Figures:
    """Compare a bundle's int8 model with its float one."""
    say(f"scoring with {floating.name} in int8")
    found = predictors.int8(folder).of(rows.texts, floating.labels)
    labels = _labels(rows, floating.labels)
    exact, quantised = mean_auc(floating.scores, labels), mean_auc(found, labels)
    return {
        **int8_difference(floating.scores, found, floating.judged.thresholds),
        "mean_roc_auc": quantised,
        "mean_roc_auc_float": exact,
        "within_bound": exact is not None
        and quantised is not None
        and abs(exact - quantised) <= INT8_BOUND,
    }


def _for_each(scored: Sequence[Scored], what: str, figures: Callable[[Scored], Figures]) -> Figures:
    found = {}
    for one in scored:
        say(f"{what}: {one.name}")
        found[one.name] = figures(one)
    return found


def _bias(scored: Sequence[Scored], read: Sequence[BiasRows]) -> Figures:
    return _for_each(
        [one for one in scored if TOXIC in one.labels],
        "bias",
        lambda one: {rows.name: bias(rows, one.by_label(rows.texts)[TOXIC]) for rows in read},
    )


def _other_scales(beside: Beside, first: Scored, rows: Rows) -> tuple[Figures, dict[str, Maps]]:
    """Compare with the bundle before and with Perspective's scale, and fit the maps to both."""
    found: Figures = {}
    maps: dict[str, Maps] = {}
    if beside.against:
        old = Scored.of(beside.against, rows)
        figures, fitted = swap(
            first.by_label(), old.by_label(), first.model.thresholds, old.model.thresholds
        )
        found["swap"] = {"old": old.name, "labels": figures}
        maps[old.model.manifest.version if old.model.manifest else old.name] = fitted
    if beside.perspective:
        texts, theirs = beside.perspective
        say("scoring the comments with Perspective's scores")
        found["perspective"], maps[NAME] = perspective(first.by_label(texts), theirs)
    return found, maps


def _for_the_card(report: Figures, name: str) -> Figures:
    """Return what the first model's card has sections for; of bias not every single group."""
    found = {key: report[key][name] for key in ("strength", "bias") if name in report.get(key, {})}
    if "bias" in found:
        found["bias"] = {
            file: {key: value for key, value in figures.items() if key != "terms"}
            for file, figures in found["bias"].items()
        }
    if "perspective" in report:
        found["perspective"] = report["perspective"]
    return found


def _panels(scored: Sequence[Scored], rows: Rows) -> dict[str, dict[str, Curve]]:
    panels: dict[str, dict[str, Curve]] = {}
    for one in scored:
        for i, label in enumerate(one.labels):
            known = one.judged.known[:, i]
            curve = Curve(
                one.scores[known, i], one.judged.positive[known, i], one.judged.thresholds[i]
            )
            panels.setdefault(label, {})[one.name] = curve
    return {label: panels[label] for label in rows.names if label in panels}


def _labels(rows: Rows, labels: Sequence[str]) -> data.Labels:
    return rows.labels[:, [rows.names.index(label) for label in labels]]
