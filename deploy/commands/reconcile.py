"""`tidegate reconcile`."""

from pathlib import Path

import click

from deploy.reconcile.report import EXIT
from deploy.reconcile.run import reconcile
from deploy.reconcile.since import parse_since
from schemas.errors import SettingsError
from schemas.wire import encode
from worker.settings import load_settings

WRONG_USE = 2  # 1 would say that something was refuted


@click.command("reconcile")
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file with settings.")
@click.option(
    "--since",
    multiple=True,
    metavar="TIME|PARTITION:OFFSET",
    help="Look at comments from here on; may be given for several partitions. [the log's start]",
)
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout.")
@click.pass_context
def command(
    ctx: click.Context, config: Path | None, since: tuple[str, ...], *, as_json: bool
) -> None:
    """Read the topics, and prove that each comment has exactly one outcome.

    Also: no id twice, order kept by key, flags and verdicts agree, dead letters are what came,
    committed offsets only grow. Reads read-committed, while workers run or after; joins no group
    and writes nothing. Topics and group are the worker's settings (TIDEGATE_…).

    Exit status: 0 proven, 1 refuted, 3 unproven (something could not be looked at: it says
    what, and why), 2 for a wrong option or setting.

    Example: tidegate reconcile --since 2026-11-24T00:00:00Z
    """
    try:
        settings = load_settings(config)
        start = parse_since(since)
    except SettingsError as error:
        click.echo(f"error: {error.what}", err=True)
        click.echo(f"hint: {error.hint or 'see `tidegate reconcile --help`'}", err=True)
        ctx.exit(WRONG_USE)
    report = reconcile(settings, start, lambda line: click.echo(line, err=True))
    if as_json:
        click.echo(encode(report.as_json()))
    else:
        for line in report.lines():
            click.echo(line)
    ctx.exit(EXIT[report.answer])
