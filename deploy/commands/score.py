"""`tidegate score`."""

import sys
from collections.abc import Iterator
from io import BufferedReader
from typing import Any, Final, cast

import click
from rich.console import Console
from rich.table import Table

from deploy.score import Line, Rooms
from schemas.verdict import Verdict
from schemas.wire import encode
from worker import logs
from worker.settings import LogSettings, load_settings

CHUNK: Final = 262_144  # bytes read at once: some hundred comments, enough to pad little


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
    show = _show_json if as_json else _show
    for window in [_arguments(texts)] if texts else _standard_input():
        for verdict in rooms.verdicts(window, events=jsonl):
            show(verdict)
        sys.stdout.flush()


def _arguments(texts: tuple[str, ...]) -> list[Line]:
    return [Line(n, text.encode(errors="surrogateescape")) for n, text in enumerate(texts, 1)]


def _standard_input() -> Iterator[list[Line]]:
    """Yield the lines that are there, and wait for more: a slow writer sees answers, too."""
    number, rest = 0, b""
    stdin = cast("BufferedReader", sys.stdin.buffer)
    while chunk := stdin.read1(CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        yield [Line(n, text.rstrip(b"\r")) for n, text in enumerate(lines, number + 1)]
        number += len(lines)
    if rest:
        yield [Line(number + 1, rest)]


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
