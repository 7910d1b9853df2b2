"""What needs torch says so before it imports it, and what to do."""

import importlib.util

from schemas.errors import SettingsError


def require_full_install(command: str) -> None:
    """Look whether torch is there, without importing it.

    Args:
        command: the subcommand that needs it.

    Raises:
        SettingsError: it is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise SettingsError(
            f"tidegate {command}: torch is not installed", "`make full`, or install tidegate[train]"
        )
