"""What the tests of containers, compose and Kubernetes share."""

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from worker.settings import PREFIX, Settings, load_settings


@pytest.fixture
def root() -> Path:
    """The top folder."""
    return Path(__file__).parents[2]


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], Settings]:
    """Load the settings as a container does that has these variables and no others of ours."""

    def load(environment: Mapping[str, str]) -> Settings:
        for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return load


@pytest.fixture
def free_ports() -> list[int]:
    """Three ports that nobody uses."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
