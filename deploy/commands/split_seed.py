"""The option that all commands share which split labelled rows: what is held out hangs on it."""

from typing import Final

import click

from trainer.recipe import MOST_SEED

SPLIT_SEED: Final = click.option(
    "--split-seed",
    type=click.IntRange(0, MOST_SEED),
    default=0,
    show_default=True,
    help="Of the held-out rows; a bundle is judged and averaged with that of its training.",
)
