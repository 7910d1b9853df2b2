"""Curves as pictures: ROC, precision against recall, reliability, and what a threshold does.

One picture a kind, a panel a label, all models in the same panel. The colours are those of Okabe
and Ito 2008, which people see apart who do not see colours as most do; each model has its own
kind of line as well.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from trainer.bootstrap import Floats, Mask
from trainer.evaluate import BINS

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
LINES: Final = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
GREY: Final = "#8a8a8a"
ACROSS: Final = 3  # panels in a row
_STYLE: Final[Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelcolor": "#333333",
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "font.size": 9,
    "legend.frameon": False,
    "svg.hashsalt": "tidegate",
}


class Curve:
    """One model's probabilities of one label on the rows where it is known.

    Args:
        scores: [rows].
        positive: [rows].
        threshold: from which the model sets the label.
    """

    def __init__(self, scores: Floats, positive: Mask, threshold: float) -> None:
        self.scores = scores
        self.positive = positive
        self.threshold = threshold


# label -> model -> its curve
Panels = Mapping[str, Mapping[str, Curve]]
Draw = Callable[[Any, Curve, dict[str, Any]], None]


def draw(panels: Panels, folder: Path) -> list[Path]:
    """Draw the four pictures as PNG, and return their paths.

    Labels of which the rows have one class only are left out; without any other label there
    is no picture.
    """
    shown = {
        label: models
        for label, models in panels.items()
        if all(0 < curve.positive.sum() < len(curve.positive) for curve in models.values())
    }
    if not shown:
        return []
    kinds: list[tuple[str, Draw, str, str, Callable[[Any], None]]] = [
        ("roc", _roc, "false alarms (share of negatives, root scale)", "recall", _root_scale),
        ("precision-recall", _precision_recall, "recall", "precision", _unit),
        ("reliability", _reliability, "probability", "share of positives", _diagonal),
    ]
    paths = [folder / f"{name}.png" for name, *_ in kinds]
    with mpl.rc_context(_STYLE):
        for path, (_, drawn, x, y, frame) in zip(paths, kinds, strict=True):
            _picture(shown, drawn, (x, y), frame).savefig(path, dpi=110)
        sweeps = folder / "thresholds.png"
        _sweeps(shown).savefig(sweeps, dpi=110)
    return [*paths, sweeps]


def _picture(
    panels: Panels, drawn: Draw, axes: tuple[str, str], frame: Callable[[Any], None]
) -> Figure:
    figure, places = _grid(list(panels))
    names = list(dict.fromkeys(name for models in panels.values() for name in models))
    for place, (label, models) in zip(places, panels.items(), strict=True):
        frame(place)
        for name, curve in models.items():
            i = names.index(name)
            style = {"color": COLOURS[i % 6], "linestyle": LINES[i % 6], "label": name}
            drawn(place, curve, style)
        positives = int(next(iter(models.values())).positive.sum())
        place.set_title(f"{label}  ({positives:,} positive)")
    figure.supxlabel(axes[0], fontsize=9, color="#333333")
    figure.supylabel(axes[1], fontsize=9, color="#333333")
    handles, labels = places[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=min(4, len(labels)))
    return figure


def _sweeps(panels: Panels) -> Figure:
    """Draw precision, recall and F1 of the first model at every threshold."""
    figure, places = _grid(list(panels))
    for place, (label, models) in zip(places, panels.items(), strict=True):
        name, curve = next(iter(models.items()))
        precision, recall, cuts = precision_recall_curve(curve.positive, curve.scores)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        found = {"precision": precision[:-1], "recall": recall[:-1], "F1": f1[:-1]}
        for (what, values), colour, line in zip(found.items(), COLOURS, LINES, strict=False):
            place.plot(cuts, values, color=colour, linestyle=line, label=what, linewidth=1.4)
        _unit(place)
        place.axvline(curve.threshold, color=GREY, linewidth=1)
        place.annotate(
            f"{curve.threshold:.2f}", (curve.threshold, 0.02), (3, 0), color="#555555",
            textcoords="offset points", fontsize=8, va="bottom",
        )  # fmt: skip
        place.set_title(label)
    figure.supxlabel(f"threshold of {name}; the line is the one that is set", fontsize=9)
    handles, labels = places[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3)
    return figure


def _grid(labels: Sequence[str]) -> tuple[Figure, list[Any]]:
    """Return a figure with a panel for each label."""
    across = min(ACROSS, len(labels))
    down = -(-len(labels) // across)
    figure = Figure(figsize=(3.3 * across + 0.4, 2.7 * down + 0.6), layout="constrained")
    places = np.atleast_1d(figure.subplots(down, across, sharex=True, sharey=True)).ravel()
    for empty in places[len(labels) :]:
        empty.set_visible(False)
    return figure, list(places[: len(labels)])


def _roc(place: Any, curve: Curve, style: dict[str, Any]) -> None:
    false, recall, _ = roc_curve(curve.positive, curve.scores)
    place.plot(false, recall, linewidth=1.4, **style)


def _precision_recall(place: Any, curve: Curve, style: dict[str, Any]) -> None:
    precision, recall, _ = precision_recall_curve(curve.positive, curve.scores)
    place.plot(recall[:-1], precision[:-1], linewidth=1.4, drawstyle="steps-post", **style)


def _reliability(place: Any, curve: Curve, style: dict[str, Any]) -> None:
    order = np.argsort(curve.scores, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    x = [curve.scores[part].mean() for part in bins]
    y = [curve.positive[part].mean() for part in bins]
    place.plot(x, y, linewidth=1.2, marker="o", markersize=3, **style)


def _unit(place: Any) -> None:
    place.set_xlim(0, 1)
    place.set_ylim(0, 1.02)


def _root_scale(place: Any) -> None:
    """Spread the few false alarms with which anybody can live."""
    place.set_xscale("function", functions=(np.sqrt, np.square))
    place.set_xticks([0, 0.01, 0.05, 0.2, 0.5, 1], ["0", ".01", ".05", ".2", ".5", "1"])
    _unit(place)


def _diagonal(place: Any) -> None:
    place.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    _unit(place)
