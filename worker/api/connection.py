"""A connection: uvicorn's, with bounds on what uvicorn waits for without any.

uvicorn bounds how long a connection may rest after an answer, and a call how long a body may take.
Neither bounds what comes before a request, or between two of them: a client that says nothing, or a
header a minute, would keep its connection for good, and some thousands of them are all that a
process may have. Nor how large the headers are, which are read before anybody is asked for a key.
"""

import re
from asyncio import Transport
from asyncio.events import TimerHandle
from contextlib import suppress
from typing import Any, Final, Protocol, runtime_checkable

from starlette.responses import Response
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEADERS_S: Final = 10.0
MOST_HEADERS: Final = 65_536  # bytes
TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
CLOSED: Final = b"connection: close\r\ncontent-length: 0\r\n\r\n"
UPGRADE: Final = re.compile(rb"(^|\r\n)upgrade:", re.IGNORECASE)
END: Final = b"\r\n\r\n"  # of headers


class HeadersTooLargeError(Exception):
    """The headers of a request have more bytes than any client sends."""


@runtime_checkable
class AnswersAtOnce(Protocol):
    """An application that answers some requests without having to read or to wait."""

    def at_once(self, scope: Scope) -> Response | None:
        """Return such an answer, or None: the request goes the usual way."""


class Connection(HttpToolsProtocol):
    """Closed when headers do not end in time, or are too large, or what comes is no request.

    What the application answers at once has no task begun for it, and sees no framework: a server
    that is asked for too much says so to thousands a second, beside what it has to do.

    Args:
        arguments: of uvicorn's own.
    """

    headers_s = HEADERS_S

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        app = self.config.app
        self._at_once = app.at_once if isinstance(app, AnswersAtOnce) else None
        self._too_late: TimerHandle | None = None
        self._is_in_headers = False
        self._has_begun = False  # a request, in the packet that came last
        self._headers_bytes = 0  # that came of them so far, without their first packet

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait(self.headers_s)

    def data_received(self, data: bytes) -> None:
        """Read; what is no request, such as the rest of one that was refused, keeps none open."""
        self._has_begun = not self._is_in_headers
        super().data_received(data if self._answers() else without_upgrade(data))
        if not self._has_begun and self._is_in_headers:  # all of it, perhaps of a single header
            self._headers_bytes += len(data)
            if self._headers_bytes > MOST_HEADERS and not self.transport.is_closing():
                self.send_400_response("")
        if self._too_late is None and not self._answers():
            self._wait(self.timeout_keep_alive)  # once: not anew with each part

    def on_message_begin(self) -> None:
        """Wait for the end of the headers, and not anew with each of them."""
        super().on_message_begin()
        self._is_in_headers, self._has_begun, self._headers_bytes = True, True, 0
        self._wait_no_more()
        self._wait(self.headers_s)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, or has headers that are too large, and close."""
        if self._headers_bytes > MOST_HEADERS:
            self.transport.write(TOO_LARGE + CLOSED)
            self.transport.close()
        else:
            super().send_400_response(msg)

    def on_headers_complete(self) -> None:
        """Begin to answer: what follows has its own bounds.

        Raises:
            HeadersTooLargeError: they came in few packets; the parser makes an error of it.
        """
        self._is_in_headers = False
        self._wait_no_more()
        self._headers_bytes = sum(len(name) + len(value) for name, value in self.headers)
        if self._headers_bytes > MOST_HEADERS:
            raise HeadersTooLargeError
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._unset_keepalive_if_required()  # of an answer at once to what came with this
        answer: Any = self._answer_at_once(cycle)
        if answer is None:
            super()._start_asgi_task(cycle, app)
            return
        with suppress(StopIteration):  # its end: nothing in it waits where all is written
            cycle.run_asgi(answer).send(None)

    def _answer_at_once(self, cycle: RequestResponseCycle) -> Response | None:
        # A client that waits to be asked for its body may or may not send it after an answer; of
        # several requests that wait here each would be answered within the end of the one before;
        # and who does not read its answers must be waited for.
        is_written = not self.transport.get_write_buffer_size()
        is_usual = is_written and not (cycle.waiting_for_100_continue or self.pipeline)
        scope: Any = cycle.scope
        return self._at_once(scope) if is_usual and self._at_once else None

    def _answers(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self, seconds: float) -> None:
        self._too_late = self.loop.call_later(seconds, self._close)

    def _wait_no_more(self) -> None:
        if self._too_late is not None:
            self._too_late.cancel()
            self._too_late = None

    def _close(self) -> None:
        if self._answers():  # the request before the one that does not come
            self._wait(self.headers_s)
        else:
            self.transport.close()


def without_upgrade(data: bytes) -> bytes:
    """Rename a wish for another protocol, which a server may pass over (RFC 9110, 7.8).

    Java's client wishes for `h2c` with every request, and httptools gives no body to one who does.
    The new name is as long as the old: the rest of a body may stand here, too.
    """
    if b"pgrade:" not in data and b"PGRADE:" not in data:
        return data
    head, end, body = data.partition(END)
    return UPGRADE.sub(rb"\1ignored:", head) + end + body
