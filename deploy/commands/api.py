"""`tidegate api`."""

from pathlib import Path

import click

from deploy.commands.flags import ALLOW_UNSIGNED, BUNDLE, CONFIG, settings_under


@click.command("api")
@click.option("--port", type=click.IntRange(0, 65_535), help="0 takes a free one.  [default: 8080]")
@BUNDLE
@CONFIG
@ALLOW_UNSIGNED
def command(
    port: int | None, bundle: str | None, config: Path | None, *, allow_unsigned: bool
) -> None:
    """Answer HTTP requests until SIGTERM: Perspective's calls, and our own.

    Settings are those of `tidegate worker --help`, TIDEGATE_API__… above all. Flags win over the
    environment, the environment over the file.

    Example: tidegate api --port 8080

    Example: curl -d '{"text": "You are awful"}' 127.0.0.1:8080/v1/score
    """
    more = {} if port is None else {"api": {"port": port}}
    settings = settings_under(config, bundle, allow_unsigned=allow_unsigned, **more)
    from worker.api.serve import run_api  # noqa: PLC0415 - a wrong setting is said before it loads

    run_api(settings)
