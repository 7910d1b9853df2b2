"""What a person sees of a run: a living screen in a terminal, plain lines elsewhere.

All of it goes to stderr: stdout is for the summary.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from time import monotonic
from types import TracebackType
from typing import Any, Final, Protocol, Self

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy.demo.masking import mask
from deploy.demo.tally import Tally
from schemas.verdict import Action

LINE_EVERY_S: Final = 1.0
PICTURE_EVERY_S: Final = 0.2
COLOURS: Final = {Action.ALLOW: "green", Action.REVIEW: "yellow", Action.REMOVE: "red"}

Partitions = Mapping[str, Sequence[int]]


class Screen(AbstractContextManager["Screen"], Protocol):
    """Shows where the demo is."""

    def say(self, text: str) -> None:
        """Tell of a step."""

    def show(self, tally: Tally, partitions: Partitions, *, at_once: bool = False) -> None:
        """Show the figures, if it is time to, or at once."""


def screen(*, plain: bool) -> Screen:
    """Return a living screen where there is a terminal, unless plain lines are wished for."""
    if plain or not (sys.stdout.isatty() and sys.stderr.isatty()):
        return PlainLines()
    return Picture()


class PlainLines:
    """A line a second."""

    def __init__(self) -> None:
        self._started = monotonic()
        self._due = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the lines where they are."""

    def say(self, text: str) -> None:
        """Print a step."""
        click.echo(f"{monotonic() - self._started:6.1f} s  {text}", err=True)

    def show(self, tally: Tally, partitions: Partitions, *, at_once: bool = False) -> None:
        """Print the figures once a second."""
        now = monotonic()
        if now < self._due and not at_once:
            return
        self._due = now + LINE_EVERY_S
        held = " ".join(f"{name}:{len(numbers)}" for name, numbers in partitions.items())
        self.say(f"{_figures(tally, now)}  partitions {held}")


class Picture:
    """A screen that is drawn anew five times a second, and stays as it was last."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._due = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the last picture on the screen."""
        self._live.stop()

    def say(self, text: str) -> None:
        """Print a step above the picture."""
        self._console.print(Text(text, style="dim"))

    def show(self, tally: Tally, partitions: Partitions, *, at_once: bool = False) -> None:
        """Draw the figures, if the last picture is old enough."""
        now = monotonic()
        if now >= self._due or at_once:
            self._due = now + PICTURE_EVERY_S
            self._live.update(picture(tally, partitions, now), refresh=True)


def picture(tally: Tally, partitions: Partitions, now: float) -> RenderableType:
    """Return the whole screen."""
    return Group(
        Text(_figures(tally, now), style="bold"),
        _counts(tally),
        _latest(tally),
        Text(
            "   ".join(
                f"{name}: partitions {', '.join(map(str, numbers))}"
                for name, numbers in partitions.items()
            ),
            style="dim",
        ),
    )


def _figures(tally: Tally, now: float) -> str:
    return (
        f"{tally.verdicts:,} of {tally.comments:,} judged  {tally.rate(now):,.0f}/s  "
        f"p50 {tally.recent_latency_ms(50):,.0f} ms  p99 {tally.recent_latency_ms(99):,.0f} ms  "
        f"review {tally.actions[Action.REVIEW]:,}  remove {tally.actions[Action.REMOVE]:,}  "
        f"held {tally.held:,}"
    )


def _counts(tally: Tally) -> Table:
    """Return the actions and labels with a bar each."""
    table = Table.grid(padding=(0, 2))
    counts: dict[str, tuple[int, str]] = {
        action.value: (tally.actions[action], COLOURS[action]) for action in Action
    } | {label: (number, "cyan") for label, number in tally.labels.most_common()}
    most = max((number for number, _ in counts.values()), default=0) or 1
    for name, (number, colour) in counts.items():
        table.add_row(name, f"{number:>7,}", Text("█" * round(40 * number / most), style=colour))
    return table


def _latest(tally: Tally) -> Table:
    """Return the latest flags, the newest first, with their words masked."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("action", no_wrap=True, min_width=6)
    table.add_column("labels", no_wrap=True, max_width=30)
    table.add_column("comment", no_wrap=True)
    for flagged in reversed(tally.latest):
        action = flagged.verdict.action
        labels = ", ".join(flagged.verdict.labels)
        table.add_row(Text(action.value, style=COLOURS[action]), labels, Text(mask(flagged.text)))
    return table


def summary_lines(summary: Mapping[str, Any], problems: Sequence[str]) -> list[str]:
    """Return the figures of a run for people."""
    if summary["p50_ms"] is None:
        return [f"{summary['comments']:,} comments, no verdict", *problems]
    a_second = summary["verdicts"] / max(summary["seconds"], 0.01)
    actions = ", ".join(f"{name} {number:,}" for name, number in summary["actions"].items())
    labels = ", ".join(f"{name} {number:,}" for name, number in summary["labels"].items())
    latency = f"p50 {summary['p50_ms']:,.0f} ms, p99 {summary['p99_ms']:,.0f} ms"
    exactly = "each comment has exactly one outcome" if not problems else "; ".join(problems)
    return [
        f"{summary['comments']:,} comments, {summary['verdicts']:,} verdicts: {exactly}",
        f"  actions        {actions}",
        f"  labels         {labels or 'none'}",
        f"  flags          {summary['flags']:,}",
        f"  held           {summary['held']:,}, dead letters {summary['dead_letters']:,}",
        f"  time           {summary['seconds']:,} s, {a_second:,.0f} comments/s",
        f"  latency        {latency}, from produce to read-committed verdict",
        f"  first verdict  {summary['first_verdict_s']:,} s after the start",
    ]
