"""A connection: uvicorn's, closed when the headers of a request do not come to their end in time.

uvicorn bounds how long a connection may rest after an answer, and a call how long a body may take.
Neither bounds what comes before: a client that says nothing, or a header a minute, would keep its
connection for good, and some thousands of them are all that a process may have.
"""

from asyncio import Transport
from asyncio.events import TimerHandle
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_S: Final = 10.0


class Connection(HttpToolsProtocol):
    """From its first byte on, and after whatever comes between two requests, time runs.

    Args:
        arguments: of uvicorn's own.
    """

    headers_s = HEADERS_S

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._too_late: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Read; wait for the rest of what is no whole request yet, and not anew with each part."""
        super().data_received(data)
        if self._too_late is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()

    def on_headers_complete(self) -> None:
        """Begin to answer: what follows has its own bounds."""
        self._wait_no_more()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._too_late = self.loop.call_later(self.headers_s, self.transport.close)

    def _wait_no_more(self) -> None:
        if self._too_late is not None:
            self._too_late.cancel()
            self._too_late = None
