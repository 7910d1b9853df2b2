"""`tidegate train`."""

import importlib.util
from pathlib import Path
from typing import Any

import click

from schemas.errors import SettingsError


@click.command("train")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="A file of labelled comments; may be given several times.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The bundle's folder.")
@click.option("--base", help="An encoder's folder or name. [the 6-layer MiniLM that is installed]")
@click.option("--epochs", type=click.IntRange(1), default=4, show_default=True)
@click.option("--max-length", type=click.IntRange(16, 512), default=128, show_default=True)
@click.option("--max-steps", type=click.IntRange(1), help="Stop early, for a smoke run.")
@click.option("--name", default="tide-1", show_default=True, help="The bundle's name.")
@click.option("--seed", type=int, default=0, show_default=True)
def command(data: tuple[Path, ...], out: Path, **options: Any) -> None:
    """Train a bundle on labelled files.

    A file is CSV or JSON Lines with a column of texts (comment_text or text) and columns of
    labels: 0, 1, a fraction, or nothing where it is not known.

    Example: tidegate train --data jigsaw-six-labels.csv --max-steps 20 --out my-bundle
    """
    if importlib.util.find_spec("torch") is None:
        raise SettingsError(
            "tidegate train: torch is not installed", "`make full`, or install tidegate[train]"
        )
    from trainer.command import train  # noqa: PLC0415 - torch takes seconds to import

    train(data, out, **options)
