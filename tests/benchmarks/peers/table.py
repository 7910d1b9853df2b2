"""Results as Markdown that a terminal shows as well: ratios first, with the goal beside each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

Found = Mapping[str, Any]

NOTHING: Final = "-"
NOT_MEASURED: Final = "not measured"


def scoring_table(found: Found) -> str:
    """Return the page of a scoring run."""
    parts = ["# Scoring: tidegate and its peers", machine_lines(found["machine"])]
    for name, model in found["models"].items():
        parts += [
            f"## {name}",
            what_line(model["what"]),
            ratio_table(model["ratios"]),
            _own(model["own"]),
            _engines(model["engines"]),
            not_measured(model["engines"]),
        ]
    return page(parts)


def stream_table(found: Found) -> str:
    """Return the page of a stream run."""
    head = ["who", "comments/s", "peak MB"]
    return page(
        [
            "# Comments in Kafka to verdicts on a topic: tidegate and its peers",
            machine_lines(found["machine"]),
            what_line(found["what"]),
            ratio_table(found["ratios"]),
            table(head, [_player(entry) for entry in found["contestants"]]),
            not_measured(found["contestants"]),
        ]
    )


def page(parts: Iterable[str]) -> str:
    """Return parts with an empty line between them."""
    return "\n\n".join(part for part in parts if part) + "\n"


def what_line(what: Found) -> str:
    """Say what was scored."""
    return (
        f"Rounds: {what['rounds']}, each of {what['comments_a_round']} comments of "
        f"{what['tokens_a_comment']} tokens ({what['comments']}), model {what['model']}; "
        "median (least to most)."
    )


def machine_lines(machine: Found) -> str:
    """Say in three lines where the figures come from."""
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{', '.join(machine['instructions']) or 'instructions unknown'}; "
        f"load {machine['load_before']} before the run\n"
        f"commit {machine['commit']}, Python {machine['python']}, {libraries}"
    )


def ratio_table(ratios: Iterable[Found]) -> str:
    """Return the ratios, each with its goal."""
    rows = [
        [entry["against"], entry["rival"], spread(entry["ratio"], "x"), _goal(entry["goal"])]
        for entry in ratios
    ]
    return table(["tidegate over", "which was", "ratio", "goal"], rows)


def not_measured(entries: Iterable[Found]) -> str:
    """Say of whom there are no figures, and why."""
    return "\n".join(
        f"- {entry['name']}: {NOT_MEASURED}: {entry['not_measured']}"
        for entry in entries
        if "not_measured" in entry
    )


def spread(figures: Found, unit: str = "") -> str:
    """Return a median with its spread."""
    middle, least, most = (f"{figures[name]:,g}" for name in ("median", "least", "most"))
    return f"{middle}{unit} ({least} to {most})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns are lined up."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def _goal(goal: float | None) -> str:
    return NOTHING if goal is None else f"≥ {goal:g}x"


def _own(own: Iterable[Found]) -> str:
    rows = [[entry["figure"], f"{entry['found']:g}", f"≤ {entry['at_most']:g}"] for entry in own]
    return table(["tidegate's own", "found", "goal"], rows) if rows else ""


def _engines(engines: Iterable[Found]) -> str:
    head = [
        "engine",
        "comments/s",
        "real tokens/s",
        "lone comment, p50 ms",
        "ready, s",
        "peak MB",
        "to torch fp32: max, mean, flips",
        "alone to company: max",
    ]
    return table(head, [_engine(entry, len(head)) for entry in engines])


def _player(entry: Found) -> list[str]:
    if "not_measured" in entry:
        return [entry["name"], NOT_MEASURED, NOTHING]
    return [entry["name"], spread(entry["comments_per_s"]), str(entry["peak_mb"])]


def _engine(entry: Found, columns: int) -> list[str]:
    if "not_measured" in entry:
        return [entry["name"], NOT_MEASURED, *[NOTHING] * (columns - 2)]
    return [
        entry["name"],
        spread(entry["comments_per_s"]),
        spread(entry["tokens_per_s"]),
        f"{entry['lone_ms']['median']:g}",
        f"{entry['ready_s']['median']:g}",
        str(entry["peak_mb"]),
        _fidelity(entry.get("to_reference")),
        f"{entry['alone_to_company']['max_abs']:.5f}",
    ]


def _fidelity(found: Found | None) -> str:
    if found is None:
        return NOTHING
    return (
        f"{found['max_abs']:.4f}, {found['mean_abs']:.5f}, "
        f"{found['flips']} of {found['decisions']:,}"
    )
