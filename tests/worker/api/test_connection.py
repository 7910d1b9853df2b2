"""A connection whose request does not come is closed; one that is being answered is not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from worker.api.connection import Connection

pytestmark = pytest.mark.anyio

LENGTH = [(b"content-length", b"6")]
ASKED = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"


@pytest.fixture
def anyio_backend() -> str:
    """The loop that uvicorn runs on."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close after a moment."""
    monkeypatch.setattr(Connection, "headers_s", 0.05)


async def answering(_: Any, __: Any, send: Any) -> None:
    """Answer at once."""
    await send({"type": "http.response.start", "status": 200, "headers": LENGTH})
    await send({"type": "http.response.body", "body": b"answer"})


@asynccontextmanager
async def connected(app: Any) -> AsyncIterator[tuple[Any, Any]]:
    """Open a connection to a server of this application."""
    config = uvicorn.Config(app, log_config=None, lifespan="off", interface="asgi3")
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(config, state, {}), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):  # the server was first
            await writer.wait_closed()
        server.close()
        await server.wait_closed()


async def closed(reader: asyncio.StreamReader) -> bytes:
    """Return what comes before the server closes."""
    async with asyncio.timeout(30):
        return await reader.read()


@pytest.mark.parametrize("said", [b"", b"\r\n", b"GET / HT", b"GET / HTTP/1.1\r\nhost: h\r\n"])
async def test_one_whose_headers_do_not_end_is_closed(said: bytes) -> None:
    """Whether it says nothing or the half of it."""
    async with connected(answering) as (reader, writer):
        writer.write(said)

        assert await closed(reader) == b""


async def test_a_header_now_and_then_gains_no_time() -> None:
    """Each part would else be a reason to wait on."""
    async with connected(answering) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n")
        ended = asyncio.ensure_future(closed(reader))
        while not ended.done():
            writer.write(b"a: b\r\n")
            await asyncio.wait([ended], timeout=0.01)

        assert ended.exception() is None or isinstance(ended.exception(), ConnectionError)


@pytest.mark.parametrize("behind", [b"\r\n", b"GET / HT"])
async def test_what_stands_behind_an_answer_is_no_request_either(behind: bytes) -> None:
    """Uvicorn takes any byte for the next request, and no longer closes a connection that rests."""
    async with connected(answering) as (reader, writer):
        writer.write(ASKED)
        assert b"200 OK" in await reader.readuntil(b"answer")
        writer.write(behind)

        assert await closed(reader) == b""


async def test_one_that_waits_for_its_answer_is_left_alone() -> None:
    """An answer has a deadline of its own."""
    released = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await released.wait()
        await answering(scope, receive, send)

    async with connected(slow) as (reader, writer), connected(slow) as (silent, _):
        writer.write(ASKED)
        await closed(silent)  # so that the time for headers is over
        released.set()

        assert b"200 OK" in await reader.readuntil(b"answer")
