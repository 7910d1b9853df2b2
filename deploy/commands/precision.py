"""The option of all commands that choose thresholds: by a precision that is wanted."""

from math import isnan
from typing import Final

import click


def a_number(_: click.Context, __: click.Parameter, given: float | None) -> float | None:
    """Refuse nan, which click finds between any two bounds."""
    if given is not None and isnan(given):
        raise click.BadParameter("nan is no number.")
    return given


PRECISION: Final = click.option(
    "--precision",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    callback=a_number,
    help="Share of those flagged that have the label, for the thresholds.  [default: best F1]",
)
