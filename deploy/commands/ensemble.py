"""`tidegate ensemble`."""

from pathlib import Path

import click

from deploy.full_install import require_full_install


@click.command("ensemble")
@click.argument("members", nargs=-1, required=True, metavar="MEMBER...")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="FILE[@WEIGHT]",
    help="Labelled comments, as for `tidegate train`; may be given several times.",
)
@click.option(
    "--unlabelled",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Further comments, of which no label is known; may be given several times.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The teacher: .jsonl or .parquet. It holds the comments.",
)
def command(
    members: tuple[str, ...], data: tuple[str, ...], unlabelled: tuple[Path, ...], out: Path
) -> None:
    """Write what several models say together of each comment: a teacher for a smaller model.

    A member is a bundle, or any classifier of several labels that transformers can load, by folder
    or name; a bundle without float weights speaks in int8. The mean of their probabilities is
    taken label by label; a member that lacks a label has no vote on it. Bundles must have held
    out the same rows: train them with one --split-seed.

    Then: tidegate train --data train.csv --teacher teacher.jsonl --out small

    Example: tidegate ensemble seed-1 seed-2 seed-3 --data train.csv --out teacher.jsonl
    """
    require_full_install("ensemble")
    from trainer.data import labelled_file  # noqa: PLC0415 - the full install only
    from trainer.teaching import teach  # noqa: PLC0415 - torch takes seconds to import

    teach(members, [labelled_file(argument) for argument in data], unlabelled, out)
