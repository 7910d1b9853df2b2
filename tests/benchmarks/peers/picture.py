"""Results as a picture: a bar for each contestant, with its spread."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.peers.contestants import OURS

OUR_COLOUR, THEIR_COLOUR = "#0b6e99", "#b8c4cc"
BAR_INCHES: Final = 0.34


def draw(panels: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Draw contestants' comments a second, a panel for each title; those not measured are left out.

    Needs matplotlib, which the full install has.
    """
    import matplotlib as mpl  # noqa: PLC0415 - the full install only

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of a canvas

    counts = [sum("not_measured" not in entry for entry in panel) for panel in panels.values()]
    figure, axes = plt.subplots(
        len(panels),
        figsize=(9, sum(counts) * BAR_INCHES + 1.2 * len(panels)),
        height_ratios=[max(1, count) for count in counts],
        squeeze=False,
        layout="constrained",
    )
    for axis, (title, panel) in zip(axes[:, 0], panels.items(), strict=True):
        _panel(axis, title, [entry for entry in panel if "not_measured" not in entry])
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _panel(axis: Any, title: str, entries: Sequence[Mapping[str, Any]]) -> None:
    slowest_first = sorted(entries, key=lambda entry: entry["comments_per_s"]["median"])
    names = [entry["name"] for entry in slowest_first]
    rates = [entry["comments_per_s"] for entry in slowest_first]
    middles = [rate["median"] for rate in rates]
    errors = (
        [rate["median"] - rate["least"] for rate in rates],
        [rate["most"] - rate["median"] for rate in rates],
    )
    colours = [OUR_COLOUR if name.startswith(OURS) else THEIR_COLOUR for name in names]
    bars = axis.barh(names, middles, xerr=errors, color=colours, capsize=3)
    axis.bar_label(bars, [f"{middle:,.0f}" for middle in middles], padding=6)
    axis.set_title(f"{title}: comments a second", loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0.12)
