"""`tidegate api`."""

from pathlib import Path
from typing import Any

import click

from worker import logs
from worker.settings import load_settings


@click.command("api")
@click.option("--port", type=click.IntRange(0, 65_535), help="0 takes a free one.  [default: 8080]")
@click.option("--bundle", help="A bundle's folder, or a checkpoint's name.")
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file with settings.")
@click.option("--allow-unsigned", is_flag=True, help="Load a checkpoint without bundle.json.")
def command(
    port: int | None, bundle: str | None, config: Path | None, *, allow_unsigned: bool
) -> None:
    """Answer HTTP requests until SIGTERM: Perspective's calls, and our own.

    Settings are those of `tidegate worker --help`, TIDEGATE_API__… above all. Flags win over the
    environment, the environment over the file.

    Example: tidegate api --port 8080

    Example: curl -d '{"text": "You are awful"}' 127.0.0.1:8080/v1/score
    """
    flags: dict[str, Any] = {}
    if port is not None:
        flags["api"] = {"port": port}
    if bundle:
        flags["bundle"] = bundle
    if allow_unsigned:
        flags["allow_unsigned"] = True
    settings = load_settings(config, **flags)
    logs.configure(settings.log)
    from worker.api.serve import run_api  # noqa: PLC0415 - a wrong setting is said before it loads

    run_api(settings)
