"""`tidegate evaluate`."""

import json
from pathlib import Path
from typing import Any

import click

from deploy.commands.split_seed import SPLIT_SEED
from deploy.full_install import require_full_install

_FILE = click.Path(path_type=Path)


@click.command("evaluate")
@click.argument("models", nargs=-1, required=True, metavar="MODEL…")
@click.option("--data", multiple=True, required=True, metavar="FILE", help="Labelled comments.")
@click.option("--out", type=_FILE, required=True, help="The folder of the report.")
@click.option(
    "--rows",
    type=click.Choice(["held-out", "all"]),
    help="Which rows of the files to judge by; needed where a bundle was made from one of them.",
)
@SPLIT_SEED
@click.option("--baseline", is_flag=True, help="TF-IDF, fitted on the rows not held out, beside.")
@click.option("--against", metavar="BUNDLE", help="Show what the first would flip in its place.")
@click.option("--bias", type=_FILE, multiple=True, help="Comments that name groups of people.")
@click.option("--perspective", type=_FILE, help="Comments with Perspective's own scores.")
@click.option(
    "--write", is_flag=True, help="Add what was measured, and the maps, to the first bundle."
)
@click.option("--disguise/--no-disguise", default=True, help="Judge disguised rows, too.")
@click.option("--json", "as_json", is_flag=True, help="The report on standard output.")
def command(
    models: tuple[str, ...], data: tuple[str, ...], out: Path, *, as_json: bool, **options: Any
) -> None:
    """Judge bundles and other models on the same labelled rows.

    A model is a bundle's folder, or the folder or the hub's name of any classifier of several
    labels that transformers can load (safetensors alone). The first is compared with the others.

    A bundle must not be judged by what it has learnt from. Give the files that it was made from,
    with --rows held-out: they are split as in training, the rows that were held out are judged,
    and a bundle of another split is refused. With other files all rows are judged; that the
    models have never seen them is for you to know.

    With --write the first bundle's card states the figures on disguise and bias, and bundle.json
    gets the maps to the scales of --against and --perspective (docs/policy.md says what for).

    Writes report.html with its pictures in it, the pictures, and report.json to OUT.

    Example: tidegate evaluate my-bundle --data comments.csv --out report

    Example: tidegate evaluate my-bundle peer --data train.csv --rows held-out --baseline --out r
    """
    require_full_install("evaluate")
    from trainer.data import labelled_file  # noqa: PLC0415 - the full install only
    from trainer.judging import Asked, judge  # noqa: PLC0415 - torch takes seconds to import

    files = [labelled_file(argument) for argument in data]
    report = judge(Asked(models=models, files=files, **options), out)
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
    else:
        click.echo(f"the report is in {out / 'report.html'}", err=True)
