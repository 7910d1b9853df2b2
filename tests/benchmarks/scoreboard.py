"""What tidegate wants to reach and what was measured, in one table and one picture.

Each benchmark leaves its figures in a file of its own, with the machine that they are of. The
scoreboard reads what lies there, so a benchmark that was run alone brings its rows up to date.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.peers import goals
from benchmarks.peers.stream import players
from benchmarks.peers.table import NOTHING, machine_lines, page, table

MET, MISSED = "#0b6e99", "#d08770"
BAR_INCHES: Final = 0.3

Figures = Mapping[str, Any]
Reader = Callable[[Figures], float | None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A goal.

    Attributes:
        what: is measured.
        benchmark: that measures it, whose file has it.
        read: takes it from that file; None: it is not there.
        goal: to be reached, on a processor with VNNI.
        most: whether the goal is what it may be at most; else what it should be at least.
        unit: behind the number.
        without_vnni: the goal on another processor; None: there is none.
    """

    what: str
    benchmark: str
    read: Reader
    goal: float
    unit: str = "x"
    most: bool = False
    without_vnni: float | None = None

    def on(self, *, vnni: bool) -> float | None:
        """Return the goal on such a processor; of what is no matter of int8 it is the same."""
        return self.goal if vnni or self.benchmark != "scoring" else self.without_vnni


@dataclass(frozen=True, slots=True)
class Row:
    """A goal beside what was found."""

    wanted: Wanted
    found: float | None
    goal: float | None

    @property
    def reached(self) -> float | None:
        """Which part of the goal was reached: over 1 it is met; None without either."""
        if self.found is None or self.goal is None:
            return None
        return self.goal / self.found if self.wanted.most else self.found / self.goal


def key(*names: str) -> Reader:
    """Read a figure by its name, or by the names that lead to it."""

    def read(figures: Figures) -> float | None:
        found: Any = figures
        for name in names:
            found = found.get(name, {})
        return found or None

    return read


def ratio(against: str) -> Reader:
    """Read a ratio to a peer: of the model `mini`, where there are several."""

    def read(figures: Figures) -> float | None:
        of_model = figures.get("models", {}).get("mini", figures)
        ratios = of_model.get("ratios", ())
        return next((r["ratio"]["median"] for r in ratios if r["against"] == against), None)

    return read


def own(figure: str) -> Reader:
    """Read one of our own figures beside the peers'."""

    def read(figures: Figures) -> float | None:
        entries = figures.get("models", {}).get("mini", {}).get("own", ())
        return next((entry["found"] for entry in entries if entry["figure"] == figure), None)

    return read


PIPELINE: Final = "transformers.pipeline at its best batch"
INFINITY: Final = "infinity-emb at its best"
BARE_ENGINE: Final = "the fastest bare engine"

WANTED: Final = (
    Wanted("scoring: over transformers.pipeline", "scoring", ratio(PIPELINE), 7, without_vnni=4),
    Wanted("scoring: over Detoxify", "scoring", ratio("Detoxify"), 14),
    Wanted("scoring: over infinity-emb", "scoring", ratio(INFINITY), 1.9),
    Wanted("scoring: over the fastest bare engine", "scoring", ratio(BARE_ENGINE), 0.95),
    Wanted(
        "scoring: a lone comment, p50", "scoring", own(goals.LONE), goals.LONE_MS, "ms", most=True
    ),
    Wanted(
        *("scoring: start to ready", "scoring", own(goals.READY), goals.READY_S, "s"),
        most=True,
        without_vnni=goals.READY_S,
    ),
    Wanted(
        *("scoring: peak memory", "scoring", own(goals.PEAK), goals.PEAK_MB, "MB"),
        most=True,
        without_vnni=goals.PEAK_MB,
    ),
    Wanted("worker: exactly once, over the bare scorer", "scored", key("ratio"), 0.95),
    Wanted("worker: peak memory", "scored", key("worker_peak_mb"), 400, "MB", most=True),
    Wanted("worker: over the afternoon loop", "peers_stream", ratio(players.AFTERNOON), 8),
    Wanted("worker: over Quix Streams", "peers_stream", ratio(players.QUIX), 1.5),
    Wanted("worker: over FastStream", "peers_stream", ratio(players.FASTSTREAM), 1.5),
    Wanted("worker: scores that cost nothing", "stream", key("exactly_once_per_s"), 40_000, "/s"),
    Wanted("worker: with tokenising", "stream", key("with_tokenising_per_s"), 20_000, "/s"),
    Wanted("worker: two processes over one", "stream", key("two_processes_over_one"), 1.5),
    Wanted("worker: p99 at half load", "latency", key("half_load_p99_ms"), 250, "ms", most=True),
    Wanted("worker: p99 at 90 %", "latency", key("nearly_full_p99_ms"), 1_000, "ms", most=True),
    Wanted("worker: a lone comment, p50", "latency", key("lone_p50_ms"), 150, "ms", most=True),
    Wanted("API: over the bare scorer", "api", key("ratio"), 0.7),
    Wanted("API: over a pipeline behind FastAPI", "api", key("over_pipeline"), 5),
    Wanted("API: a lone comment, p50", "api", key("lone_p50_ms"), 15, "ms", most=True),
    Wanted("API: a lone comment, p99", "api", key("lone_p99_ms"), 40, "ms", most=True),
    Wanted("API: p99 at half load", "overload", key("half_load_p99_ms"), 100, "ms", most=True),
    Wanted("API: p99 of a refusal", "overload", key("over_refused_p99_ms"), 20, "ms", most=True),
    Wanted("trainer: over a plain loop", "training", key("ratio"), 2.5),
    Wanted("an H100: BERT-base", "gpu", key("bert-base", "comments_per_s"), 41_000, "/s"),
    Wanted("an H100: six layers", "gpu", key("minilm-l6", "comments_per_s"), 143_000, "/s"),
)


def scoreboard(folder: Path, *, vnni: bool) -> list[Row]:
    """Read what was measured.

    Args:
        folder: where each benchmark left a file by its name.
        vnni: whether the processor has it: some goals are for one that has.
    """
    files = {wanted.benchmark: folder / f"{wanted.benchmark}.json" for wanted in WANTED}
    measured: dict[str, Figures] = {
        name: json.loads(file.read_bytes()) for name, file in files.items() if file.is_file()
    }
    return [
        Row(wanted, wanted.read(measured.get(wanted.benchmark, {})), wanted.on(vnni=vnni))
        for wanted in WANTED
    ]


def as_page(rows: Sequence[Row], machine: Figures) -> str:
    """Return the scoreboard as Markdown."""
    head = ["what", "found", "goal", "reached"]
    lines = table(head, [_cells(row) for row in rows])
    return page(["# What tidegate reaches", machine_lines(machine), lines])


def _cells(row: Row) -> list[str]:
    wanted = row.wanted
    sign = "≤" if wanted.most else "≥"
    return [
        wanted.what,
        "not measured" if row.found is None else f"{row.found:,g}{_unit(wanted)}",
        NOTHING if row.goal is None else f"{sign} {row.goal:,g}{_unit(wanted)}",
        NOTHING if row.reached is None else f"{row.reached:.0%}",
    ]


def _unit(wanted: Wanted) -> str:
    return wanted.unit if wanted.unit in {"x", "/s"} else f" {wanted.unit}"


def draw(rows: Iterable[Row], path: Path) -> None:
    """Draw which part of each goal was reached. Needs matplotlib, which the full install has."""
    import matplotlib as mpl  # noqa: PLC0415 - the full install only

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of a canvas

    shown = [(row, row.reached) for row in reversed(list(rows)) if row.reached is not None]
    parts = [part for _, part in shown]
    figure, axis = plt.subplots(figsize=(9, 1 + len(shown) * BAR_INCHES), layout="constrained")
    bars = axis.barh(
        [row.wanted.what for row, _ in shown],
        parts,
        color=[MET if part >= 1 else MISSED for part in parts],
    )
    axis.bar_label(bars, [f"{r.found:,g}{_unit(r.wanted)}" for r, _ in shown], padding=4)
    axis.axvline(1, color="black", linewidth=1)
    axis.set_xscale("log")
    axis.set_xlabel("part of the goal that was reached; the line is the goal")
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0.12, y=0.01)
    figure.savefig(path, dpi=150)
    plt.close(figure)
