"""`tidegate worker`."""

from pathlib import Path
from typing import Any

import click

from worker import logs
from worker.run import run_worker
from worker.settings import load_settings, setting_help


@click.command("worker", epilog="\b\nSettings (environment, or a TOML file):\n" + setting_help())
@click.option("--bundle", help="A bundle's folder, or a checkpoint's name.")
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file with settings.")
@click.option("--allow-unsigned", is_flag=True, help="Load a checkpoint without bundle.json.")
def command(bundle: str | None, config: Path | None, *, allow_unsigned: bool) -> None:
    """Judge comments from Kafka until SIGTERM.

    Flags win over the environment, the environment over the file.

    Example: TIDEGATE_KAFKA__BOOTSTRAP_SERVERS=127.0.0.1:9092 tidegate worker
    """
    flags: dict[str, Any] = {}
    if bundle:
        flags["bundle"] = bundle
    if allow_unsigned:
        flags["allow_unsigned"] = True
    settings = load_settings(config, **flags)
    logs.configure(settings.log)
    run_worker(settings)
