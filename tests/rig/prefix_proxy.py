"""A proxy that serves the API under a path of its own, as one in front of several services does."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final

PATIENCE_S: Final = 60.0


class PrefixProxy(ThreadingHTTPServer):
    """Takes the prefix away and asks the server behind it; anything else is 404.

    Args:
        prefix: such as `/moderation`.
    """

    def __init__(self, prefix: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.prefix = prefix
        self.behind = ""  # the server's host and port; known once it has started
        self.asked: list[str] = []  # paths, without their queries, in which keys stand

    @property
    def url(self) -> str:
        """Under which the API is found, without a slash at its end."""
        return f"http://127.0.0.1:{self.server_address[1]}{self.prefix}"


class Handler(BaseHTTPRequestHandler):
    """Hands one request on, under the inner server's name."""

    def _hand_on(self) -> None:
        proxy = self.server
        assert isinstance(proxy, PrefixProxy)
        if not self.path.startswith(f"{proxy.prefix}/"):
            self.send_error(404)
            return
        proxy.asked.append(self.path.partition("?")[0])
        headers = {n: v for n, v in self.headers.items() if n.lower() not in ("host", "connection")}
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        with closing(HTTPConnection(proxy.behind, timeout=PATIENCE_S)) as connection:
            connection.request(self.command, self.path.removeprefix(proxy.prefix), body, headers)
            answer = connection.getresponse()
            found = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(found)

    do_GET = do_POST = _hand_on  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing: it would say keys."""


@contextmanager
def prefix_proxy(prefix: str) -> Iterator[PrefixProxy]:
    """Run a proxy while the block lasts; say what is behind it before the first request."""
    with PrefixProxy(prefix) as proxy:
        Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.shutdown()
