"""`tidegate average`."""

from pathlib import Path

import click

from deploy.commands.precision import PRECISION
from deploy.commands.split_seed import SPLIT_SEED
from deploy.full_install import require_full_install

_PATH = click.Path(path_type=Path)


@click.command("average")
@click.argument("members", nargs=-1, required=True, type=_PATH, metavar="BUNDLE...")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="FILE[@WEIGHT]",
    help="All labelled files that the bundles were made from; may be given several times.",
)
@click.option("--out", type=_PATH, required=True, help="The bundle's folder.")
@click.option("--name", default="tide-1", show_default=True, help="The bundle's name.")
@SPLIT_SEED
@PRECISION
def command(  # noqa: PLR0913, PLR0917 - the options, all given by name
    members: tuple[Path, ...],
    data: tuple[str, ...],
    out: Path,
    name: str,
    split_seed: int,
    precision: float | None,
) -> None:
    """Make one bundle of several: the mean of their weights, which costs no more to serve.

    The bundles must have float weights and come from one base: trained with other seeds, on more
    files, with another recipe. The best by the validation rows is kept, and each further one if
    the mean is better with it (Wortsman et al. 2022, "Model soups"). The mean is calibrated,
    quantised and judged as a training's end is.

    Example: tidegate average seed-1 seed-2 --data train.csv --out mean
    """
    require_full_install("average")
    from trainer.average import average  # noqa: PLC0415 - torch takes seconds to import
    from trainer.data import labelled_file  # noqa: PLC0415 - the full install only

    files = [labelled_file(argument) for argument in data]
    average(members, files, out, name=name, split_seed=split_seed, precision=precision)
