"""The data at a glance, in one picture of four panels."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from trainer.data_report import DataReport, LabelFigures, Lengths

SIZE: Final = (14.0, 9.5)  # inches
DPI: Final = 110

# Three blues for the parts, from dark to light, and warm colours for what is left out.
COLOURS: Final = {
    "train": "#1f4e79",
    "validation": "#4f93ce",
    "test": "#a9cfee",
    "near evaluation-only": "#c0504d",
    "repeated": "#e8a33d",
    "near held-out": "#8c6bb1",
}
GREY: Final = "#6b6b6b"
DARK: Final = 0.55  # share above which the writing in a cell is white

STYLE: Final[dict[Any, Any]] = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
}


def draw(report: DataReport) -> bytes:
    """Return the picture as PNG."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE)
        figure.set_layout_engine("constrained", wspace=0.06, hspace=0.08)
        FigureCanvasAgg(figure)  # no display is asked for
        panels = figure.subplots(2, 2)
        _labels(panels[0, 0], report.labels, report.parts)
        _together(panels[0, 1], report)
        _lengths(panels[1, 0], report.characters, report.tokens)
        _files(panels[1, 1], report)
        figure.suptitle(
            f"{sum(report.part_rows.values()):,} comments in three parts, "
            f"held out {report.held_out_fingerprint}\n",
            x=0.01,
            ha="left",
            color=GREY,
        )
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=DPI)
    return png.getvalue()


def _labels(
    axes: Any, labels: Sequence[str], parts: Mapping[str, Mapping[str, LabelFigures]]
) -> None:
    height = 0.8 / len(parts)
    for number, (part, figures) in enumerate(parts.items()):
        counts = [figures[label].positive for label in labels]
        at = np.arange(len(labels)) + (number - 1) * height
        bars = axes.barh(at, np.maximum(counts, 0.5), height, color=COLOURS[part], label=part)
        axes.bar_label(bars, [f"{count:,}" for count in counts], padding=3, fontsize=8, color=GREY)
    axes.set_xscale("log")
    axes.set_xlim(left=0.5)
    axes.margins(x=0.12)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("comments with the label set (log scale)")
    axes.set_title("Labels by part")
    axes.legend(frameon=False, loc="lower right")


def _together(axes: Any, report: DataReport) -> None:
    labels, counts = report.labels, report.together
    share = np.asarray(counts) / np.maximum(report.asked, 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, row in enumerate(share):
        for j, part in enumerate(row):
            axes.text(
                j,
                i,
                f"{counts[i][j]:,}" if i == j else f"{part:.0%}\n{counts[i][j]:,}",
                ha="center",
                va="center",
                fontsize=8.5,
                color="white" if part > DARK else "black",
            )
    axes.set_xticks(range(len(labels)), labels, rotation=20, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(
        "of those with the label on the left, so many have this one, too, where it is known"
    )
    axes.set_title("Labels together")


def _lengths(axes: Any, characters: Lengths, tokens: Lengths | None) -> None:
    for lengths, colour in ((characters, COLOURS["train"]), (tokens, COLOURS["repeated"])):
        if lengths is None or not lengths.comments:
            continue
        share = np.asarray(lengths.counts) / lengths.comments * 100
        median, most = lengths.percentiles["50"], lengths.percentiles["95"]
        axes.stairs(
            share,
            lengths.edges,
            fill=True,
            alpha=0.6,
            color=colour,
            label=f"{lengths.unit}: half have at most {median:,}, 95 % at most {most:,}",
        )
        axes.axvline(median, ymax=0.8, color=colour, linewidth=1.2)
        axes.axvline(most, ymax=0.8, color=colour, linewidth=1.2, linestyle=":")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("length (log scale)")
    axes.set_ylabel("% of comments")
    axes.set_title(Lengths)
    axes.set_ylim(top=axes.get_ylim()[1] * 1.25)
    axes.legend(frameon=False, loc="upper left")


def _files(axes: Any, report: DataReport) -> None:
    names = [
        file.name if file.weight == 1 else f"{file.name}\nweight {file.weight:g}"
        for file in report.files
    ]
    left = np.zeros(len(names))
    for place, colour in COLOURS.items():
        counts = np.asarray([file.places[place] for file in report.files], np.float64)
        axes.barh(range(len(names)), counts, 0.62, left=left, color=colour, label=place)
        left += counts
    for i, file in enumerate(report.files):
        axes.text(left[i], i, f" {file.rows:,}", va="center", fontsize=8, color=GREY)
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("rows")
    axes.set_title("Files, and where their rows went")
    axes.legend(frameon=False, loc="best")
