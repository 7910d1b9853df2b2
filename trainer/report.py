"""The report: one HTML page with its pictures in it, and the same figures as JSON.

No comment stands in either.
"""

import base64
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from schemas.errors import TrainingError
from trainer.evaluate import Figures

HTML: Final = "report.html"
JSON: Final = "report.json"

Row = Sequence[object]

_CAPTIONS: Final = {
    "roc": "ROC. The axis of false alarms is spread where they are few.",
    "precision-recall": "Precision against recall.",
    "reliability": "Reliability: probability against the share of positives, 15 bins of equal "
    "mass. On the diagonal a probability means what it says.",
    "thresholds": "What each threshold of the first model gives.",
}
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 70rem; margin: 2rem auto;
       padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #ddd;
         vertical-align: top; }
th { font-weight: 600; } td small { color: #666; white-space: nowrap; }
img { max-width: 100%; } .warning { border-left: 4px solid #D55E00; padding-left: .8rem; }
"""


def write_report(out: Path, report: Figures, pictures: Sequence[Path]) -> None:
    """Write report.json and report.html, each whole or not at all.

    Raises:
        TrainingError: they cannot be written.
    """
    try:
        _write(out / JSON, json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        _write(out / HTML, page(report, pictures))
    except OSError as error:
        raise _cannot_be_written(out, error) from error


def make_folder(out: Path) -> None:
    """Make the folder of a report, before hours go into what is to stand there.

    Raises:
        TrainingError: it cannot be made, is a file, or nothing can be written there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise _cannot_be_written(out, error) from error


def page(report: Figures, pictures: Sequence[Path]) -> str:
    """Return the report as one HTML page."""
    parts = [
        "<h1>tidegate evaluate</h1>",
        _data(report["data"]),
        "<h2>Models</h2>",
        _models(report["models"]),
        _differences(report["differences"]),
        *(_labels(name, figures) for name, figures in report["models"].items()),
        *map(_picture, pictures),
        _int8(report["int8"]),
        _strength(report.get("strength", {})),
        _bias(report.get("bias", {})),
        _swap(report.get("swap")),
        _perspective(report.get("perspective", {})),
    ]
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>tidegate evaluate</title>'
        f"<style>{_STYLE}</style>\n{chr(10).join(filter(None, parts))}\n</html>\n"
    )


def _data(which: Figures) -> str:
    warning = f'<p class="warning">{escape(which["warning"])}</p>' if which["warning"] else ""
    files = escape(", ".join(which["files"]))
    return (
        f"<p>{which['rows']:,} comments: {escape(which['part'])} of {files}. In small print the "
        "95 % intervals, from 1,000 draws of the rows; differences and models share the draws. "
        f"Comments longer than a model are cut at its length.</p>{warning}"
    )


def _models(models: Figures) -> str:
    head = [
        "",
        "mean ROC AUC",
        "mean PR AUC",
        "macro F1",
        "micro F1",
        "accuracy",
        "all labels right",
    ]
    keys = ("mean_roc_auc", "mean_pr_auc", "macro_f1", "micro_f1", "accuracy", "subset_accuracy")
    rows: list[Row] = [
        [escape(name), *(_with_interval(found, key) for key in keys)]
        for name, found in models.items()
    ]
    first = next(iter(models.values()))
    nothing = [_number(first[f"{key}_of_silence"]) for key in ("accuracy", "subset_accuracy")]
    rows.append(["<i>a model that never sets a label</i>", "", "", "", "", *nothing])
    return _table(head, rows) + (
        "<p>Accuracy misleads where labels are rare: the last line never finds anything. "
        "Macro: every label counts alike; micro: every positive does. Precision, recall and F1 "
        "are those at each model's own thresholds.</p>"
    )


def _differences(differences: Figures) -> str:
    if not differences:
        return ""
    rows: list[Row] = [
        [escape(name), *(_difference(found[key]) for key in ("mean_roc_auc", "macro_f1"))]
        for name, found in differences.items()
    ]
    return "<h2>Differences on the same rows</h2>" + _table(["", "mean ROC AUC", "macro F1"], rows)


def _labels(name: str, figures: Figures) -> str:
    head = ["", "positives", "ROC AUC", "PR AUC", "precision", "recall", "F1",
            "calibration error", "threshold", "found / missed / false alarms / rest"]  # fmt: skip
    keys = ("roc_auc", "pr_auc", "precision", "recall", "f1", "calibration_error")
    counts = ("true_positives", "false_negatives", "false_positives", "true_negatives")
    rows: list[Row] = [
        [
            escape(label),
            f"{found['positives']:,} of {found['known']:,}",
            *(_with_interval(found, key) for key in keys),
            f"{found['threshold']:.3f}",
            " / ".join(f"{found[count]:,}" for count in counts),
        ]
        for label, found in figures["labels"].items()
    ]
    version = f" <small>{figures['version']}</small>" if figures["version"] else ""
    return f"<h2>{escape(name)}{version}</h2>" + _table(head, rows)


def _picture(path: Path) -> str:
    inside = base64.b64encode(path.read_bytes()).decode()
    caption = escape(_CAPTIONS.get(path.stem, path.stem))
    return f'<h3>{caption}</h3><img alt="{caption}" src="data:image/png;base64,{inside}">'


def _int8(agreement: Figures) -> str:
    rows: list[Row] = [
        [
            escape(name),
            f"{found['max_abs']:.4f}",
            f"{found['mean_abs']:.5f}",
            f"{found['flips']} of {found['decisions']:,}",
            _number(found["mean_roc_auc_float"]),
            _number(found["mean_roc_auc"]),
            "yes" if found["within_bound"] else "<b>no</b>",
        ]
        for name, found in agreement.items()
    ]
    head = ["", "largest difference", "mean", "decisions that differ", "mean ROC AUC in float",
            "in int8", "within 0.001"]  # fmt: skip
    return "<h2>int8 and float</h2>" + _table(head, rows) if rows else ""


def _strength(strength: Figures) -> str:
    parts = []
    for name, found in strength.items():
        rows: list[Row] = [
            [
                kind,
                _with_interval(of_kind, "recall_kept"),
                _with_interval(of_kind, "false_alarms_added"),
            ]
            for kind, of_kind in found["kinds"].items()
        ]
        parts.append(
            f"<h3>{escape(name)}</h3><p>Without disguise it flags "
            f"{_number(found['plain']['recall'])} of {found['toxic']:,} toxic comments and "
            f"{_number(found['plain']['false_alarms'])} of {found['harmless']:,} harmless ones."
            "</p>" + _table(["disguise", "recall kept", "false alarms added"], rows)
        )
    if not parts:
        return ""
    return (
        "<h2>Disguise</h2><p>Every word of three or more letters is disguised, in toxic and in "
        "harmless comments alike. A comment is flagged if any label is over its threshold.</p>"
        + "".join(parts)
    )


def _bias(of_models: Figures) -> str:
    rows: list[Row] = [
        [
            escape(name),
            escape(file),
            f"{found['rows']:,} of {found['of']:,}",
            _with_interval(found, "auc"),
            *(
                f"{_number(worst['value'])} ({escape(worst['term'])}) "
                f"<small>{_range(worst['interval'])}</small>"
                for worst in found["worst"].values()
            ),
        ]
        for name, files in of_models.items()
        for file, found in files.items()
    ]
    head = ["", "file", "comments", "ROC AUC", "worst subgroup", "worst BPSN", "worst BNSP"]
    note = (
        "<p>The label toxic on comments that name a group of people (Borkan et al. 2019). "
        "Subgroup: within those that name it. BPSN: harmless ones that name it against toxic ones "
        "that do not; low where a mere name is taken for toxic. BNSP: toxic ones that name it "
        "against harmless ones that do not. Files of more than 20,000 comments are sampled. All "
        "terms are in report.json.</p>"
    )
    return "<h2>Bias</h2>" + _table(head, rows) + note if rows else ""


def _swap(swap: Figures | None) -> str:
    if swap is None:
        return ""
    rows: list[Row] = [
        [
            escape(label),
            f"{found['threshold']['old']:.3f} → {found['threshold']['new']:.3f}",
            f"{found['flagged_before']:.2%} → {found['flagged_after']:.2%}",
            f"+{found['set']} −{found['unset']}",  # noqa: RUF001 - a minus
            f"{kept['flagged_before']:.2%} → {kept['unmapped']['flagged_after']:.2%}",
            f"{kept['flagged_before']:.2%} → {kept['mapped']['flagged_after']:.2%}",
        ]
        for label, found in swap["labels"].items()
        for kept in [found["kept_threshold"]]
    ]
    head = ["", "threshold", "flagged", "comments that flip", "old threshold kept, no map",
            "old threshold kept, with the map"]  # fmt: skip
    return (
        f"<h2>What a swap for {escape(swap['old'])} would flip</h2>"
        + _table(head, rows)
        + "<p>The last two columns are counted on the odd rows, the map was fitted on the even.</p>"
    )


def _perspective(labels: Figures) -> str:
    rows: list[Row] = [
        [
            escape(label),
            f"{found['rows']:,}",
            _number(found["rank_correlation"]),
            _number(found["mean_absolute_error"]),
            _number(found["mean_absolute_error_unmapped"]),
            *(
                f"{share:.1%} <small>{found['flagged'][t][0]} / {found['flagged'][t][1]}</small>"
                for t, share in found["agreement"].items()
            ),
        ]
        for label, found in labels.items()
    ]
    head = ["", "comments", "rank correlation", "mean difference", "without the map",
            "agree at 0.5", "at 0.7", "at 0.9"]  # fmt: skip
    note = (
        "<p>The map was fitted on the other half of the comments. In small print how many ours "
        "(mapped) and Perspective flag.</p>"
    )
    return "<h2>Perspective's scale</h2>" + _table(head, rows) + note if rows else ""


def _table(head: Iterable[str], rows: Iterable[Row]) -> str:
    """Return a table; the cells are HTML."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
    return f"<table><tr>{top}</tr>\n{body}</table>"


def _with_interval(figures: Mapping[str, Any], key: str) -> str:
    return f"{_number(figures[key])} <small>{_range(figures[f'{key}_interval'])}</small>"


def _difference(found: Figures) -> str:
    value = "not known" if found["difference"] is None else f"{found['difference']:+.4f}"
    return f"{value} <small>{_range(found['interval'], '+.4f')}</small>"


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.4f}"


def _range(edges: Sequence[float] | None, form: str = ".3f") -> str:
    return "" if edges is None else f"{edges[0]:{form}} to {edges[1]:{form}}"


def _cannot_be_written(out: Path, error: OSError) -> TrainingError:
    return TrainingError(
        f"{out} cannot be written: {error.strerror}", "look at its rights and the free space"
    )


def _write(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
