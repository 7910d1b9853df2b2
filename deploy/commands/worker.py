"""`tidegate worker`."""

from pathlib import Path

import click

from deploy.commands.flags import ALLOW_UNSIGNED, BUNDLE, CONFIG, settings_under
from worker.run import run_worker
from worker.settings import setting_help


@click.command("worker", epilog="\b\nSettings (environment, or a TOML file):\n" + setting_help())
@BUNDLE
@CONFIG
@ALLOW_UNSIGNED
def command(bundle: str | None, config: Path | None, *, allow_unsigned: bool) -> None:
    """Judge comments from Kafka until SIGTERM.

    Flags win over the environment, the environment over the file.

    Example: TIDEGATE_KAFKA__BOOTSTRAP_SERVERS=127.0.0.1:9092 tidegate worker
    """
    run_worker(settings_under(config, bundle, allow_unsigned=allow_unsigned))
