"""The port that probes and Prometheus ask: /livez, /readyz, /metrics. It carries no comments."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final, Protocol, Self

from prometheus_client import CONTENT_TYPE_LATEST

from schemas.errors import SettingsError

PLAIN: Final = "text/plain; charset=utf-8"


class Exposed(Protocol):
    """Whatever Prometheus reads."""

    def render(self) -> bytes:
        """Return the exposition text."""
        ...


Trouble = Callable[[], list[str]]  # what is wrong now; nothing when all is well


class Health:
    """Holds its port from the first; serves, once told to, until the process ends.

    Args:
        host: address to listen on.
        port: 0 takes a free one; `port` says which.
        metrics: served as they are.
        not_live: reasons to restart the process; a broker that is away is none.
        not_ready: reasons to believe that nothing is being judged at the moment.

    Raises:
        SettingsError: the port is in use.
    """

    def __init__(
        self, host: str, port: int, metrics: Exposed, not_live: Trouble, not_ready: Trouble
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 5  # seconds; a client that says nothing must not hold a thread

            def do_GET(self) -> None:
                match self.path:
                    case "/livez":
                        self._say(not_live())
                    case "/readyz":
                        self._say(not_ready())
                    case "/metrics":
                        self._answer(200, metrics.render(), CONTENT_TYPE_LATEST)
                    case _:
                        self._answer(404, b"try /livez, /readyz or /metrics\n", PLAIN)

            def _say(self, troubles: list[str]) -> None:
                text = "\n".join(troubles) or "ok"
                self._answer(503 if troubles else 200, f"{text}\n".encode(), PLAIN)

            def _answer(self, status: int, body: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                """Probes come every few seconds; their log would hide ours."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise SettingsError(
                f"health port {host}:{port} cannot be opened: {error.strerror or error}",
                "set TIDEGATE_HEALTH__PORT to a free one, or to 0",
            ) from error
        self.port = int(self._server.server_address[1])

    def serve(self) -> Self:
        """Answer; who asked before has waited."""
        Thread(target=self._server.serve_forever, name="health", daemon=True).start()
        return self
