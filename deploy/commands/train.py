"""`tidegate train`."""

from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import click

from deploy.commands.precision import PRECISION, a_number
from deploy.commands.split_seed import SPLIT_SEED
from deploy.full_install import require_full_install
from trainer.recipe import LEAST_LENGTH, LENGTHS, RECIPES, FitSettings, settings_of


def _settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each setting of the loop, as FitSettings describes it."""
    for name, field in reversed(FitSettings.model_fields.items()):
        flag, kind = name.replace("_", "-"), _kind(field.annotation)
        default = "" if field.default is None else f"  [default: {field.default}]"
        command = click.option(
            f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}",
            name,
            type=kind,
            default=None,  # not given: the recipe's
            help=f"{field.description}{default}",
        )(command)
    return command


def _kind(annotation: Any) -> Any:
    """Return what click checks an argument by; the bounds are checked with all the others."""
    if get_origin(annotation) is Literal:
        return click.Choice(get_args(annotation))
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]  # of X | None
    kind = kinds[0] if kinds else annotation
    return getattr(kind, "__origin__", kind)  # of Annotated[X, bounds]


@click.command("train")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="FILE[@WEIGHT]",
    help="Labelled comments, and how much each counts; may be given several times.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The bundle's folder.")
@click.option(
    "--base",
    help="An encoder, or a bundle: folder or name. [the 6-layer MiniLM that is installed]",
)
@click.option("--name", default="tide-1", show_default=True, help="The bundle's name.")
@click.option(
    "--max-length",
    type=click.IntRange(LEAST_LENGTH),
    help="Tokens in a piece; longer comments are cut.  [default: 128; published: 512]",
)
@SPLIT_SEED
@PRECISION
@click.option("--fresh", is_flag=True, help="Drop the checkpoints at OUT.run and start anew.")
@click.option(
    "--recipe",
    type=click.Choice(list(RECIPES)),
    default="tide",
    show_default=True,
    help="Where the settings below start from: ours, or Detoxify's, which the field copies.",
)
@click.option(
    "--teacher",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What `tidegate ensemble` wrote, to learn from beside the labels.",
)
@click.option(
    "--teacher-share",
    type=click.FloatRange(0, 1),
    callback=a_number,
    help="Of the teacher in a target whose label is known; the rest is the label.  [default: 0.5]",
)
@_settings
def command(  # noqa: PLR0913, PLR0917 - the options, all given by name
    data: tuple[str, ...],
    out: Path,
    base: str | None,
    name: str,
    max_length: int | None,
    split_seed: int,
    precision: float | None,
    fresh: bool,  # noqa: FBT001 - click gives it
    recipe: str,
    teacher: Path | None,
    teacher_share: float | None,
    **given: Any,
) -> None:
    """Train a bundle on labelled files.

    A file is CSV, JSON Lines or Parquet, zipped too, with a column of texts (comment_text or
    text) and columns of labels: 0, 1, a fraction, or nothing where it is not known. Kaggle's
    Jigsaw files are read as they come.

    A run that was ended (Ctrl-C, SIGTERM, kill -9, a power cut) goes on from its last checkpoint
    when the same command is given again; on a CPU it ends with the same weights, bit for bit.
    Checkpoints lie in OUT.run until the bundle is there, curves for TensorBoard beside them.

    With --teacher the model learns from an ensemble, too: of labelled comments, and of those in
    the teacher's file that stand in no labelled one. What is held out knows no teacher.

    Under torchrun all processes train together: torchrun --nproc-per-node 8 -m deploy.cli train …

    Example: tidegate train --data jigsaw-six-labels.csv --max-steps 20 --out my-bundle
    """
    require_full_install("train")
    if teacher is None and teacher_share is not None:
        raise click.UsageError("--teacher-share is the share of a --teacher: give one")
    settings = settings_of(recipe, **given)
    from trainer.command import train  # noqa: PLC0415 - torch takes seconds to import
    from trainer.data import labelled_file  # noqa: PLC0415 - the full install only
    from trainer.distil import SHARE, Distillation  # noqa: PLC0415 - the full install only
    from trainer.teacher import read_teacher  # noqa: PLC0415 - the full install only

    distillation = None
    if teacher is not None:
        share = SHARE if teacher_share is None else teacher_share
        distillation = Distillation(read_teacher(teacher), share)

    train(
        [labelled_file(argument) for argument in data],
        out,
        base,
        settings=settings,
        max_length=max_length or LENGTHS[recipe],
        name=name,
        split_seed=split_seed,
        fresh=fresh,
        precision=precision,
        distillation=distillation,
    )
