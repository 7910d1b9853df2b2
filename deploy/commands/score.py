"""`tidegate score`."""

import sys
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from deploy.score import Line, Rooms
from schemas.verdict import Verdict
from schemas.wire import encode
from worker import logs
from worker.settings import LogSettings, load_settings


@click.command("score")
@click.argument("texts", nargs=-1)
@click.option("--bundle", help="A bundle's folder, or a checkpoint's name.")
@click.option("--allow-unsigned", is_flag=True, help="Load a checkpoint without bundle.json.")
@click.option("--jsonl", is_flag=True, help="Standard input holds CommentEvents, one a line.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(
    texts: tuple[str, ...], bundle: str | None, *, allow_unsigned: bool, jsonl: bool, as_json: bool
) -> None:
    """Score sentences: from the arguments, or from standard input, a line each.

    Prints the calibrated probability of each label, the labels over their thresholds, and
    the action that the policy asks for, in the order of the input.

    Example: tidegate score "You are awful"

    Example: tidegate score --json < comments.txt > scores.jsonl
    """
    if texts and jsonl:
        raise click.UsageError("--jsonl reads standard input: give no texts beside it")
    flags: dict[str, Any] = {"bundle": bundle} if bundle else {}
    if allow_unsigned:
        flags["allow_unsigned"] = True
    logs.configure(LogSettings(level="warning"))
    rooms = Rooms(load_settings(**flags))
    lines = (
        (
            Line(number, text.encode(errors="surrogateescape"))
            for number, text in enumerate(texts, 1)
        )
        if texts
        else _standard_input()
    )
    show = _show_json if as_json else _show
    for verdict in rooms.verdicts(lines, events=jsonl):
        show(verdict)


def _standard_input() -> Iterator[Line]:
    for number, text in enumerate(sys.stdin.buffer, 1):
        yield Line(number, text.rstrip(b"\r\n"))


def _show_json(verdict: Verdict) -> None:
    result = {"scores": verdict.scores, "labels": verdict.labels, "action": verdict.action}
    sys.stdout.buffer.write(encode(result) + b"\n")


def _show(verdict: Verdict) -> None:
    """Print a table for one comment; a bar is worth six numbers."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for label, probability in verdict.scores.items():
        style = "bold red" if label in verdict.labels else ""
        table.add_row(label, f"{probability:.3f}", "█" * round(probability * 30), style=style)
    console = Console(highlight=False)
    console.print(table)
    labels = ", ".join(verdict.labels) or "none"
    console.print(f"labels: {labels}; action: {verdict.action}\n")
