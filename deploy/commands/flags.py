"""The flags that `tidegate worker` and `tidegate api` share, and what they make of settings."""

from pathlib import Path
from typing import Any, Final

import click

from worker import logs
from worker.settings import Settings, load_settings

BUNDLE: Final = click.option("--bundle", help="A bundle's folder, or a checkpoint's name.")
CONFIG: Final = click.option(
    "--config", type=click.Path(path_type=Path), help="A TOML file with settings."
)
ALLOW_UNSIGNED: Final = click.option(
    "--allow-unsigned", is_flag=True, help="Load a checkpoint without bundle.json."
)


def settings_under(
    config: Path | None, bundle: str | None, *, allow_unsigned: bool, **more: Any
) -> Settings:
    """Read the settings, under what was flagged, and log as they say."""
    if bundle:
        more["bundle"] = bundle
    if allow_unsigned:
        more["allow_unsigned"] = True
    settings = load_settings(config, **more)
    logs.configure(settings.log)
    return settings
