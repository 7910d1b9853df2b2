"""`tidegate api` as a process of its own, on free ports."""

import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from rig.stream import PATH, PATIENCE_S, Worker

HOST: Final = "127.0.0.1"
CERTIFICATE: Final = "TIDEGATE_API__TLS_CERTIFICATE"

# A deadline is for a machine of one's own; a test that is about it sets another.
SETTINGS: Final = {
    "TIDEGATE_API__HOST": HOST,
    "TIDEGATE_API__PORT": "0",
    "TIDEGATE_API__DEADLINE_S": "60",
    "TIDEGATE_HEALTH__HOST": HOST,
    "TIDEGATE_HEALTH__PORT": "0",
    "TIDEGATE_LOG__FORMAT": "json",
}


@dataclass(frozen=True)
class ApiServer:
    """A server that answers.

    Attributes:
        url: without a slash at its end.
        health_url: where probes and Prometheus ask, the same.
    """

    url: str
    health_url: str
    _worker: Worker

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process; a test may end it."""
        return self._worker.process

    @property
    def said(self) -> str:
        """All that it logged so far, in JSON lines."""
        return self._worker.said

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return its log lines of one name."""
        return self._worker.events(name)

    def wait_for(self, name: str, times: int = 1, within_s: float = PATIENCE_S) -> None:
        """Wait until it has logged an event so many times."""
        self._worker.wait_for(name, times, within_s)


@contextmanager
def api_server(folder: Path, **environment: object) -> Iterator[ApiServer]:
    """Run a server while the block lasts.

    Args:
        folder: for its log.
        environment: settings by their whole names, such as TIDEGATE_API__KEYS.
    """
    theirs = {name: v for name, v in os.environ.items() if not name.startswith("TIDEGATE")}
    ours = SETTINGS | {name: str(value) for name, value in environment.items()}
    log = folder / f"api-{sum(1 for _ in folder.glob('api-*.log'))}.log"
    with Worker(theirs | ours | {"PYTHONPATH": PATH}, log, ("deploy.cli", "api")) as worker:
        worker.wait_for("api started", within_s=2 * PATIENCE_S)
        (started,) = worker.events("api started")
        scheme = "https" if CERTIFICATE in ours else "http"
        server = ApiServer(
            f"{scheme}://{HOST}:{started['port']}",
            f"http://{HOST}:{started['health_port']}",
            worker,
        )
        _wait_for_an_answer(server.url, ours.get(CERTIFICATE))
        yield server


def _wait_for_an_answer(url: str, certificate: str | None) -> None:
    """Ask once: the port has been open for a while, and whoever comes early waits in its queue."""
    context = None
    if certificate:
        context = ssl.create_default_context(cafile=certificate)
        context.check_hostname = False  # it may be in another's name
    asked = f"{url}/$discovery/rest"
    with urlopen(asked, timeout=PATIENCE_S, context=context) as answer:  # noqa: S310 - our own
        assert answer.status == 200
