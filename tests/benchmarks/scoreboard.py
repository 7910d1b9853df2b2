"""What tidegate wants to reach and what was measured, in one table and one picture.

Each benchmark leaves its figures in a file of its own, with the machine that they are of. The
scoreboard reads what lies there, so a benchmark that was run alone brings its rows up to date.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.gpu import MODELS
from benchmarks.machine import INSTRUCTIONS
from benchmarks.peers import goals
from benchmarks.peers.stream import players, streaming
from benchmarks.peers.table import NOTHING, page, table
from worker.scoring.vnni import INSTRUCTIONS as OF_VNNI

MET, MISSED = "#0b6e99", "#d08770"
BAR_INCHES: Final = 0.3
MOST_DRAWN: Final = 10.0  # times the goal
LARGE: Final = 100
TICKS: Final = (0.2, 0.5, 1, 2, 5)

VNNI: Final = {INSTRUCTIONS[flag] for flag in OF_VNNI}  # as a file has them

Figures = Mapping[str, Any]
Reader = Callable[[Figures], float | None]


class Goal(NamedTuple):
    """What is to be reached: on a processor with VNNI, and on another one; None: no goal there."""

    with_vnni: float | None
    without: float | None


def everywhere(goal: float) -> Goal:
    """Return a goal for any processor."""
    return Goal(goal, goal)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A figure that has a goal.

    Attributes:
        what: is measured.
        benchmark: that measures it, whose file has it.
        read: takes it from that file; None: it is not there.
        goal: to be reached.
        unit: behind the number.
        most: whether the goal is what it may be at most; else what it should be at least.
    """

    what: str
    benchmark: str
    read: Reader
    goal: Goal
    unit: str = "x"
    most: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A figure beside its goal.

    Attributes:
        wanted: what it is.
        found: the figure; None: not measured.
        goal: of the processor that it was measured on.
        commit: that was measured.
    """

    wanted: Wanted
    found: float | None
    goal: float | None
    commit: str

    @property
    def reached(self) -> float | None:
        """Which part of the goal was reached: over 1 it is met; None without either."""
        if self.found is None or self.goal is None:
            return None
        if self.wanted.most:
            return self.goal / self.found if self.found > 0 else inf
        return self.found / self.goal


def key(*names: str) -> Reader:
    """Read a figure by its name, or by the names that lead to it."""

    def read(figures: Figures) -> float | None:
        found: Any = figures
        for name in names:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, int | float) else None

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


def _worker(  # noqa: PLR0913 - what makes a figure
    what: str, benchmark: str, name: str, goal: float, unit: str = "x", *, most: bool = False
) -> Wanted:
    return Wanted(f"worker: {what}", benchmark, key(name), everywhere(goal), unit, most)


def _api(what: str, benchmark: str, name: str, goal_ms: float) -> Wanted:
    return Wanted(f"API: {what}", benchmark, key(name), everywhere(goal_ms), "ms", most=True)


OWN: Final = (
    (goals.LONE, goals.LONE_MS),
    (goals.READY, goals.READY_S),
    (goals.PEAK, goals.PEAK_MB),
)
AT_ONCE: Final = {
    players.BARE: "the bare scorer",
    players.AFTERNOON: "the afternoon loop",
    players.QUIX: "Quix Streams",
    players.FASTSTREAM: "FastStream",
}

WANTED: Final = (
    *(
        Wanted(
            f"scoring: over {goal.against}",
            "scoring",
            ratio(goal.against),
            Goal(goal.with_vnni, goal.without),
        )
        for goal in goals.GOALS
    ),
    Wanted(
        f"scoring: over {goals.LIMIT}",
        "scoring",
        ratio(goals.LIMIT),
        Goal(goals.LIMIT_WITH_VNNI, None),
    ),
    *(
        Wanted(f"scoring: {name}", "scoring", own(name), everywhere(goal), "", most=True)
        for name, goal in OWN
    ),
    *(
        Wanted(
            f"worker: exactly once, over {AT_ONCE[name]}",
            "peers_stream",
            ratio(name),
            Goal(goal, None if name == players.AFTERNOON else goal),
        )
        for name, goal in streaming.GOALS.items()
    ),
    Wanted("tokenising: over the library alone", "tokenising", key("ratio"), Goal(None, None)),
    _worker("4,000 comments, over the bare scorer", "scored", "ratio", 0.95),
    _worker("peak memory", "scored", "worker_peak_mb", 400, "MB", most=True),
    _worker("scores that cost nothing", "stream", "exactly_once_per_s", 40_000, "/s"),
    _worker("the same with tokenising", "stream", "with_tokenising_per_s", 20_000, "/s"),
    _worker("two processes over one", "stream", "two_processes_over_one", 1.5),
    _worker("half load, p99", "latency", "half_load_p99_ms", 250, "ms", most=True),
    _worker("90 % load, p99", "latency", "nearly_full_p99_ms", 1_000, "ms", most=True),
    _worker("a lone comment, p50", "latency", "lone_p50_ms", 150, "ms", most=True),
    Wanted("API: over the bare scorer", "api", key("ratio"), everywhere(0.7)),
    Wanted("API: over a pipeline behind FastAPI", "api", key("over_pipeline"), Goal(5, None)),
    _api("a lone comment, p50", "api", "lone_p50_ms", 15),
    _api("a lone comment, p99", "api", "lone_p99_ms", 40),
    _api("half load, p99", "overload", "half_load_p99_ms", 100),
    _api("half load, p99 of 40 tokens", "overload", "half_load_short_p99_ms", 100),
    _api(
        "five times the capacity, p99 of what is accepted", "overload", "over_accepted_p99_ms", 700
    ),
    _api("five times the capacity, p99 of what is refused", "overload", "over_refused_p99_ms", 20),
    Wanted("trainer: over a plain loop", "training", key("ratio"), everywhere(2.5)),
    *(
        Wanted(
            f"an H100: {name}",
            "gpu",
            key(name, "comments_per_s"),
            everywhere(model.goal_per_s),
            "/s",
        )
        for name, model in MODELS.items()
    ),
)


def scoreboard(folder: Path) -> list[Row]:
    """Read what was measured.

    Args:
        folder: where each benchmark left a file by its name.
    """
    files = {wanted.benchmark: folder / f"{wanted.benchmark}.json" for wanted in WANTED}
    measured: dict[str, Figures] = {
        name: json.loads(file.read_bytes()) for name, file in files.items() if file.is_file()
    }
    return [_row(wanted, measured.get(wanted.benchmark, {})) for wanted in WANTED]


def _row(wanted: Wanted, figures: Figures) -> Row:
    machine = figures.get("machine", {})
    has_vnni = not VNNI.isdisjoint(machine.get("instructions", ()))
    goal = wanted.goal.with_vnni if has_vnni else wanted.goal.without
    return Row(wanted, wanted.read(figures), goal, machine.get("commit", ""))


def as_page(rows: Sequence[Row]) -> str:
    """Return the scoreboard as Markdown."""
    head = ["what", "found", "goal", "reached", "commit"]
    return page(["# What tidegate reaches", table(head, [_cells(row) for row in rows])])


def _cells(row: Row) -> list[str]:
    wanted = row.wanted
    sign = "≤" if wanted.most else "≥"
    return [
        wanted.what,
        "not measured" if row.found is None else f"{_figure(row.found)}{_unit(wanted)}",
        NOTHING if row.goal is None else f"{sign} {row.goal:,g}{_unit(wanted)}",
        NOTHING if row.reached is None else f"{row.reached:.0%}",
        row.commit,
    ]


def _figure(found: float | None) -> str:
    """Write a figure with three digits, and a large one without a fraction."""
    return "" if found is None else f"{found:,.0f}" if found >= LARGE else f"{found:.3g}"


def _unit(wanted: Wanted) -> str:
    return wanted.unit if wanted.unit in {"", "x", "/s"} else f" {wanted.unit}"


def draw(rows: Iterable[Row], path: Path) -> None:
    """Draw which part of each goal was reached. Needs matplotlib, which the full install has."""
    import matplotlib as mpl  # noqa: PLC0415 - the full install only

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of a canvas

    shown = [(row, row.reached) for row in reversed(list(rows)) if row.reached is not None]
    parts = [min(part, MOST_DRAWN) for _, part in shown]
    figure, axis = plt.subplots(figsize=(9, 1 + len(shown) * BAR_INCHES), layout="constrained")
    bars = axis.barh(
        [row.wanted.what for row, _ in shown],
        parts,
        color=[MET if part >= 1 else MISSED for part in parts],
    )
    labels = [f"{_figure(row.found)}{_unit(row.wanted)}" for row, _ in shown]
    axis.bar_label(bars, labels, padding=4, bbox={"facecolor": "white", "linewidth": 0, "pad": 1})
    axis.axvline(1, color="black", linewidth=1, zorder=0)
    axis.set_xscale("log")
    axis.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axis.minorticks_off()
    axis.set_xlabel("part of the goal that was reached; the line is the goal")
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0.12, y=0.01)
    figure.savefig(path, dpi=110)
    plt.close(figure)
