"""The model card: what the bundle is for, what it is not for, and how good it was found."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from schemas.bundle import BundleManifest
from schemas.labels import MEANING


def card(manifest: BundleManifest) -> str:
    """Return the README.md of a bundle, with the YAML that a hub reads at its head."""
    return "\n\n".join(
        [
            _yaml_head(manifest),
            f"# {manifest.name}",
            _INTRODUCTION.format(
                base=manifest.base_model, count=len(manifest.labels), length=manifest.max_length
            ),
            "## Labels",
            _labels(manifest),
            "## Intended use, and limits",
            _LIMITS.strip(),
            "## Data",
            _data(manifest),
            *_members(manifest.metrics.get("average")),
            *_origin(manifest.metrics.get("training", {})),
            "## Figures, as measured on held-out rows",
            _figures(manifest.metrics),
            "## Thresholds and calibration",
            _calibration(manifest),
            "## int8 and float",
            _int8(manifest.metrics),
            *_strength(manifest.metrics.get("strength")),
            *_bias(manifest.metrics.get("bias", {})),
            *_score_maps(manifest),
            "## Use",
            _USE.strip(),
            "",
        ]
    )


_INTRODUCTION = """\
A comment in, {count} probabilities out: `{base}` fine-tuned with tidegate's trainer. Comments
longer than {length} tokens are cut into pieces by the worker; the highest probability of each
label counts. The texts are cleaned by the `normalizer` in `tokenizer.json` (zero-width
characters, look-alike and stretched letters, markup), so whatever reads that file cleans alike."""

_LIMITS = """
To sort comments for people who moderate: which to look at first, which to hold back until
somebody has. A probability is no verdict on a person, and the figures below are averages.

- English, in the manner of Wikipedia's talk pages of 2004 to 2015. Other languages, other
  registers (tweets, chats, comments under videos) and newer slang were not held out and are
  judged worse.
- The labels are what crowd workers thought of a comment out of its context. Irony, quotation,
  and slurs that a group uses of itself are often misjudged; comments that merely name an
  identity (gay, black, Muslim) get higher probabilities than they should, as with every model
  trained on this data. Measure that on your own comments before anything is removed unread.
- Threats are few in the data: see the counts and the intervals beside the figures.
- The probabilities are calibrated on rows of which a third is toxic, about three times as many
  as on Wikipedia. Where toxic comments are rarer, they are too high; choose thresholds on your
  own comments.
"""

_USE = """
```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

model = AutoModelForSequenceClassification.from_pretrained(folder)  # needs model.safetensors
tokenizer = AutoTokenizer.from_pretrained(folder)
```

The logits are raw: `probability = sigmoid(slope * logit + intercept)` with the calibration in
`bundle.json`. `tidegate score` and the worker do all of it, without torch, from
`model.int8.onnx` (inputs `input_ids` and `attention_mask`, int64 [rows, width]; output `logits`,
float32 [rows, labels]).
"""


def _yaml_head(manifest: BundleManifest) -> str:
    held_out = manifest.metrics["held_out"]
    figures = {"roc_auc": held_out["mean_roc_auc"], "f1": held_out["macro_f1"]}
    head = {
        "language": "en",
        "license": "apache-2.0",
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "base_model": manifest.base_model,
        "tags": ["content-moderation", "multi-label", "toxicity", "tidegate"],
        "model-index": [
            {
                "name": manifest.name,
                "results": [
                    {
                        "task": {"type": "text-classification"},
                        "dataset": {"name": "held-out labelled comments", "type": "jigsaw"},
                        "metrics": [
                            {"type": kind, "value": value, "name": f"mean {kind}"}
                            for kind, value in figures.items()
                            if value is not None
                        ]
                        + [
                            {
                                "type": "roc_auc",
                                "value": found["roc_auc"],
                                "name": f"roc_auc {label}",
                            }
                            for label, found in held_out["labels"].items()
                            if found["roc_auc"] is not None
                        ],
                    }
                ],
            }
        ],
    }
    return f"---\n{yaml.safe_dump(head, sort_keys=False)}---"


def _labels(manifest: BundleManifest) -> str:
    return "\n".join(
        f"- `{label}`: {MEANING.get(label, 'see the data')}" for label in manifest.labels
    )


def _data(manifest: BundleManifest) -> str:
    data = manifest.metrics["data"]
    files = ", ".join(f"`{name}`" for name in data["files"])
    return (
        f"{files}: {data['train']:,} rows to learn from, {data['validation']:,} for the choice of "
        f"weights, calibration and thresholds, {data['test']:,} held out for the figures. Split "
        "by label and by groups of near duplicates. Labels that are not known are masked. "
        f"{data['evaluation_only']:,} rows were left out because they, or near duplicates, stand "
        f"in files kept for evaluation, {data['repeated']:,} because they repeat another row. "
        f"Fingerprint: `{manifest.data_fingerprint}`.\n\n"
        "Texts of Wikipedia comments are CC BY-SA 3.0, their labels CC0."
    )


def _origin(training: dict[str, Any]) -> list[str]:
    """Return at which weights training began, and from which models it learnt beside labels."""
    before, teacher, found = training.get("began_at"), training.get("teacher"), []
    if before:
        found.append(f"Training began at the weights of `{before['name']}` {before['version']}.")
        if files := before.get("may_know"):
            found.append(
                f"**That bundle had learnt from {', '.join(f'`{f}`' for f in files)} when other "
                "rows were held out: it may know some by which this one is judged below, which "
                "then looks too good.**"
            )
    if teacher:
        found.append(
            "Beside the labels it learnt what several models say together of these comments and of "
            f"unlabelled ones: `{teacher['file']}` {teacher['fingerprint']}, with a share of "
            f"{teacher['share']:g} where a label is known (docs/training-distillation.md)."
        )
    return [" ".join(found)] if found else []


def _members(found: dict[str, Any] | None) -> list[str]:
    """Return of which trainings the weights are the mean, if they are one."""
    if not found:
        return []
    lines = [
        f"- `{member['name']}` {member['version']}, from {', '.join(f'`{f}`' for f in files)}: "
        f"validation loss {member['validation_loss']:.4f}, "
        f"{'kept' if member['kept'] else 'left out'}"
        for member in found["members"]
        for files in [member["files"] or ["files not stated"]]
    ]
    text = (
        'The weights are the mean of several trainings of one base (Wortsman et al. 2022, "Model '
        'soups", arXiv 2203.05482), each kept only if the validation rows are judged better with '
        "it:"
    )
    return [text + "\n\n" + "\n".join(lines)]


def _figures(metrics: dict[str, Any]) -> str:
    ours, theirs = metrics["held_out"], metrics["baseline"]
    rows = [
        [
            f"`{label}`",
            figures["positives"],
            _with_interval(figures, "roc_auc"),
            _number(base["roc_auc"]),
            _with_interval(figures, "pr_auc"),
            _number(base["pr_auc"]),
            _with_interval(figures, "f1"),
            _number(base["f1"]),
        ]
        for (label, figures), base in zip(
            ours["labels"].items(), theirs["labels"].values(), strict=True
        )
    ]
    rows.append(
        [
            "**mean**",
            "",
            _with_interval(ours, "mean_roc_auc"),
            _number(theirs["mean_roc_auc"]),
            _with_interval(ours, "mean_pr_auc"),
            _number(theirs["mean_pr_auc"]),
            _with_interval(ours, "macro_f1"),
            _number(theirs["macro_f1"]),
        ]
    )
    head = ["label", "positives", "ROC AUC", "TF-IDF", "PR AUC", "TF-IDF", "F1", "TF-IDF"]
    return (
        f"{ours['rows']:,} comments. TF-IDF: words and pairs of words with logistic regression, "
        "balanced, on the same rows of each part. In brackets the 95 % interval (bootstrap). F1 "
        "at thresholds that were chosen on the validation rows, for both.\n\n" + _table(head, rows)
    )


def _calibration(manifest: BundleManifest) -> str:
    held_out = manifest.metrics["held_out"]["labels"]
    rows = [
        [
            f"`{label}`",
            f"{manifest.thresholds[label]:.3f}",
            _number(held_out[label]["precision"]),
            _number(held_out[label]["recall"]),
            f"{manifest.calibration[label].slope:.3f}",
            f"{manifest.calibration[label].intercept:+.3f}",
            _with_interval(held_out[label], "calibration_error"),
        ]
        for label in manifest.labels
    ]
    head = ["label", "threshold", "precision", "recall", "slope", "intercept", "error"]
    wanted = manifest.metrics.get("thresholds", {}).get("precision")
    chosen = "the best F1" if wanted is None else f"a precision of {wanted:g}"
    return (
        f"Platt scaling per label and the thresholds of {chosen}, both on the validation rows; "
        "precision, recall and calibration error (15 bins of equal mass) on the held-out ones.\n\n"
        + _table(head, rows)
    )


def _int8(metrics: dict[str, Any]) -> str:
    rows = [
        [
            beside,
            engine,
            f"{found[key]['max_abs']:.4f}",
            f"{found[key]['mean_abs']:.5f}",
            f"{found[key]['flips']} of {found[key]['decisions']:,}",
        ]
        for engine, found in metrics["int8"].items()
        for key, beside in (
            ("to_float", "the float model"),
            ("alone_to_batch", "itself, each comment alone"),
        )
    ]
    aucs = "; ".join(f"{_number(f['mean_roc_auc'])} ({e})" for e, f in metrics["int8"].items())
    head = ["int8 beside", "computed by", "largest difference", "mean", "decisions that differ"]
    return (
        "Probabilities from `model.int8.onnx` on the held-out comments, by the engines that serve "
        f"it; bf16 or f32 is what is not int8. Mean ROC AUC of int8: {aucs}; of float: "
        f"{_number(metrics['held_out']['mean_roc_auc'])}.\n\n" + _table(head, rows)
    )


def _strength(found: dict[str, Any] | None) -> list[str]:
    """Return the section on disguise, if it was measured."""
    if not found:
        return []
    rows = [
        [
            kind,
            _with_interval(figures, "recall_kept"),
            _with_interval(figures, "false_alarms_added"),
        ]
        for kind, figures in found["kinds"].items()
    ]
    text = (
        "Every word of three or more letters of the held-out comments was disguised, in toxic and "
        "in harmless ones alike. Recall kept: over that without disguise, "
        f"{_number(found['plain']['recall'])}; false alarms added: to the share without disguise, "
        f"{_number(found['plain']['false_alarms'])} (any label over its threshold)."
    )
    head = ["disguise", "recall kept", "false alarms added"]
    return ["## Disguise", text + "\n\n" + _table(head, rows)]


def _bias(files: dict[str, Any]) -> list[str]:
    """Return the section on bias, if it was measured."""
    rows = [
        [
            f"`{file}`",
            _with_interval(found, "auc"),
            *(
                f"{_number(worst['value'])} ({worst['term']}) {_interval(worst['interval'])}"
                for worst in found["worst"].values()
            ),
        ]
        for file, found in files.items()
    ]
    text = (
        "ROC AUC of `toxic` on comments that name a group of people, and the worst of the groups "
        "(Borkan et al. 2019): within those that name it; harmless ones that name it against "
        "toxic ones that do not (BPSN: low where a mere name is taken for toxic); the reverse "
        "(BNSP)."
    )
    head = ["file", "all", "worst subgroup", "worst BPSN", "worst BNSP"]
    return ["## Bias", text + "\n\n" + _table(head, rows)] if rows else []


def _score_maps(manifest: BundleManifest) -> list[str]:
    """Return the section on other scales, if there are maps to them."""
    lines = [
        f"- `{name}`: {', '.join(f'`{label}`' for label in maps)}"
        for name, maps in manifest.score_maps.items()
    ]
    text = (
        "`bundle.json` carries maps (`score_maps`: knots, linear between them) from these "
        "probabilities to another scale: that of an earlier bundle, by its version, or that of "
        "`perspective`. A policy whose thresholds were set there names it as its `scale`."
    )
    if not lines:
        return []
    return [
        "## Other scales",
        text + "\n\n" + "\n".join(lines),
        *_perspective(manifest.metrics.get("perspective")),
    ]


def _perspective(found: dict[str, Any] | None) -> list[str]:
    """Return how near the map to Perspective's scale comes, if it was measured."""
    if not found:
        return []
    rows = [
        [
            f"`{label}`",
            _number(figures["rank_correlation"]),
            _number(figures["mean_absolute_error"]),
            *(f"{100 * share:.1f} %" for share in figures["agreement"].values()),
        ]
        for label, figures in found.items()
    ]
    one = next(iter(found.values()))
    head = ["label", "rank correlation", "mean difference", *(f"at {t}" for t in one["agreement"])]
    text = (
        f"Beside Perspective's own scores of {one['rows']:,} comments that the map was not fitted "
        "on: the difference after the map, and the share of comments that both flag or both leave "
        "at a threshold."
    )
    return [text + "\n\n" + _table(head, rows)]


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.4f}"


def _with_interval(figures: Mapping[str, Any], key: str) -> str:
    """Return a figure with its interval, where there is one: older bundles have fewer."""
    return f"{_number(figures[key])} {_interval(figures.get(f'{key}_interval'))}".rstrip()


def _interval(edges: Sequence[float] | None) -> str:
    return "" if edges is None else f"[{edges[0]:.3f}, {edges[1]:.3f}]"
