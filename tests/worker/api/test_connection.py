"""A connection whose request does not come is closed; one that is being answered is not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import Response
from uvicorn.server import ServerState

from worker.api.connection import MOST_HEADERS, Connection, without_upgrade

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


def answering_after(released: asyncio.Event) -> Any:
    """Return an application that answers when it may."""

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await released.wait()
        await answering(scope, receive, send)

    return slow


@asynccontextmanager
async def connected(app: Any, state: ServerState | None = None) -> AsyncIterator[tuple[Any, Any]]:
    """Open a connection to a server of this application."""
    config = uvicorn.Config(
        app, log_config=None, lifespan="off", interface="asgi3", ws="none", timeout_keep_alive=1
    )
    held = state or ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(config, held, {}), "127.0.0.1", 0)
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


async def test_a_body_that_comes_after_its_answer_does_not_end_the_connection() -> None:
    """As of a request that is refused at once; what keeps it open has its bound, too."""
    async with connected(answering) as (reader, writer), connected(answering) as (silent, _):
        writer.write(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\n")
        await reader.readuntil(b"answer")
        writer.write(b"body")
        await closed(silent)  # so that the time for headers is over
        writer.write(ASKED)

        assert b"200 OK" in await reader.readuntil(b"answer")
        assert await closed(reader) == b""


async def test_half_a_request_behind_one_that_is_answered_waits_for_that_answer() -> None:
    """Closed before, the answer would be lost."""
    released = asyncio.Event()
    slow = answering_after(released)
    async with connected(slow) as (reader, writer), connected(slow) as (silent, _):
        writer.write(ASKED + b"GET / HT")
        await closed(silent)
        released.set()

        assert b"200 OK" in await reader.readuntil(b"answer")
        assert await closed(reader) == b""


async def test_who_wishes_for_another_protocol_is_answered_in_this_one() -> None:
    """Java's client does so with each request over plain HTTP; its body was lost."""

    async def echo(_: Any, receive: Any, send: Any) -> None:
        got = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": LENGTH})
        await send({"type": "http.response.body", "body": got["body"]})

    asked = (
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 6\r\nconnection: Upgrade, HTTP2-Settings"
        b"\r\nhttp2-settings: AAEAAEAAAAIAAAAB\r\n"
        b"upgrade: h2c\r\n\r\nanswer"
    )
    async with connected(echo) as (reader, writer):
        writer.write(asked)

        assert b"200 OK" in await reader.readuntil(b"answer")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([b"a: b", b"Upgrade: h2c", b"UPGRADE: x", b"x-upgrade: y"])), st.data()
)
def test_nothing_but_that_wish_is_changed(headers: list[bytes], cut: st.DataObject) -> None:
    """A body least of all; headers may come in parts, line by line."""
    body = b"\r\nupgrade: h2c\r\n\r\n"
    data = b"\r\n".join([b"POST / HTTP/1.1", *headers]) + b"\r\n\r\n" + body

    found = without_upgrade(data)

    kept = [b"ignored:" + h[8:] if h.lower().startswith(b"upgrade:") else h for h in headers]
    assert found == b"\r\n".join([b"POST / HTTP/1.1", *kept]) + b"\r\n\r\n" + body
    first = sum(
        len(line) + 2
        for line in [b"POST / HTTP/1.1", *headers[: cut.draw(st.integers(0, len(headers)))]]
    )
    assert without_upgrade(data[:first]) + without_upgrade(data[first:]) == found


async def test_one_that_waits_for_its_answer_is_left_alone() -> None:
    """An answer has a deadline of its own."""
    released = asyncio.Event()
    slow = answering_after(released)
    async with connected(slow) as (reader, writer), connected(slow) as (silent, _):
        writer.write(ASKED)
        await closed(silent)  # so that the time for headers is over
        released.set()

        assert b"200 OK" in await reader.readuntil(b"answer")


class AtOnce:
    """Answers a POST at once, and what else there is by a task; remembers what came to one."""

    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.headers: dict[str, str] = {}
        self.may = asyncio.Event()  # what comes to a task be answered
        self.may.set()

    def at_once(self, scope: Any) -> Response | None:
        """Answer a POST."""
        return Response("refused", 429, self.headers) if scope["method"] == "POST" else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer in a while."""
        self.tasks.append(scope["method"])
        await asyncio.sleep(0)
        await self.may.wait()
        await answering(scope, receive, send)


POSTED = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n"


async def test_what_is_answered_at_once_needs_no_task() -> None:
    """And its connection serves on, whenever the body comes."""
    app = AtOnce()
    async with connected(app) as (reader, writer):
        for body in (b"body", b""):
            writer.write(POSTED + b"\r\n" + body)
            head = await reader.readuntil(b"refused")
            assert head.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
            assert b"connection: close" not in head
        writer.write(b"body" + ASKED)

        assert b"200 OK" in await reader.readuntil(b"answer")
    assert app.tasks == ["GET"]


async def test_who_wants_no_more_is_answered_at_once_and_closed() -> None:
    """As after any answer."""
    async with connected(AtOnce()) as (reader, writer):
        writer.write(POSTED + b"connection: close\r\n\r\nbody")

        assert b"connection: close" in await reader.readuntil(b"refused")
        assert await closed(reader) == b""


async def test_who_waits_to_be_asked_for_a_body_is_answered_by_a_task() -> None:
    """It may send the body after an answer, or not."""
    app = AtOnce()
    async with connected(app) as (reader, writer):
        writer.write(POSTED + b"expect: 100-continue\r\n\r\n")

        assert b"200 OK" in await reader.readuntil(b"answer")
    assert app.tasks == ["POST"]


async def test_any_number_of_requests_that_come_together_are_answered_in_order() -> None:
    """Each within the end of the one before, a thousand would be too deep for Python."""
    app, number = AtOnce(), 2_000
    async with connected(app) as (reader, writer):
        last = ASKED.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        writer.write(ASKED + (POSTED + b"\r\nbody") * number + last)
        answers = (await closed(reader)).split(b"HTTP/1.1 ")[1:]

    assert len(answers) == number + 2
    assert all(answer.endswith(b"answer") for answer in (answers[0], answers[-1]))
    assert app.tasks[0] == app.tasks[-1] == "GET"


async def test_who_does_not_read_its_answers_gets_all_of_them_in_the_end() -> None:
    """Where the buffer was full after its headers, an answer at once was dropped."""
    app, number = AtOnce(), 4_000
    app.headers = {"x": "y" * 2_000}
    async with connected(app) as (reader, writer):
        reader._transport.pause_reading()  # noqa: SLF001
        for _ in range(number):
            writer.write(POSTED + b"\r\nbody")
            await asyncio.sleep(0)
        writer.write(ASKED.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        reader._transport.resume_reading()  # noqa: SLF001
        answers = (await closed(reader)).split(b"HTTP/1.1 ")[1:]

    assert len(answers) == number + 1
    assert all(answer.endswith((b"refused", b"answer")) for answer in answers)


async def test_an_answer_at_once_closes_no_connection_on_which_another_is_awaited() -> None:
    """The time that a connection may rest began with the first of two that came together."""
    app = AtOnce()
    app.may.clear()
    async with connected(app) as (reader, writer), connected(AtOnce()) as (other, resting):
        writer.write(POSTED + b"\r\nbody" + ASKED)
        await reader.readuntil(b"refused")
        resting.write(POSTED + b"\r\nbody")
        assert b"refused" in await closed(other)  # so that the time to rest is over
        app.may.set()

        assert b"200 OK" in await reader.readuntil(b"answer")


async def test_many_requests_in_one_packet_have_small_headers_all_the_same() -> None:
    """A packet that begins and ends within headers was taken for headers alone."""
    state = ServerState()
    async with connected(answering, state) as (reader, writer):
        writer.write(ASKED[:9])
        while not any(each._is_in_headers for each in state.connections):  # type: ignore[union-attr]  # noqa: ASYNC110, SLF001 - there is no event of it
            await asyncio.sleep(0)
        (connection,) = state.connections
        many = ASKED * (MOST_HEADERS // len(ASKED) + 2)
        connection.data_received(ASKED[9:] + many + ASKED[:9])

        assert (await reader.readuntil(b"answer")).startswith(b"HTTP/1.1 200 OK")


async def test_an_answer_that_fails_is_an_error_of_the_server() -> None:
    """As one that fails in a task; its connection is closed."""

    async def broken(_: Any, __: Any, ___: Any) -> None:
        raise ValueError("broken")

    app = AtOnce()
    app.at_once = lambda scope: broken if scope["method"] == "POST" else None  # type: ignore[assignment,method-assign,return-value]
    async with connected(app) as (reader, writer):
        writer.write(POSTED + b"\r\nbody")
        assert (await closed(reader)).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")


LARGE = b"a" * (MOST_HEADERS + 1)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"x: " + LARGE + b"\r\n\r\n", id="one"),
        pytest.param(b"x: y\r\n" * MOST_HEADERS + b"\r\n", id="many"),
        pytest.param(b"x: " + LARGE * 20, id="one that does not end"),
        pytest.param((b"x: y" * 999 + b"\r\n") * 300, id="some that do not end"),
    ],
)
async def test_headers_that_are_too_large_are_refused(
    headers: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and before anything of them is kept: no key was asked for yet."""
    monkeypatch.setattr(Connection, "headers_s", 60)
    async with connected(answering) as (reader, writer):
        writer.write(ASKED)
        assert b"200 OK" in await reader.readuntil(b"answer")
        writer.write(b"GET / HTTP/1.1\r\nhost: h\r\n" + headers)

        answered = b""
        with suppress(ConnectionError):  # what was not read any more
            answered = await closed(reader)
        assert answered.startswith(b"HTTP/1.1 431 ") or not answered


async def test_headers_that_come_one_by_one_are_bounded_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever has the bandwidth would fill the memory within the seconds that headers have."""
    monkeypatch.setattr(Connection, "headers_s", 30)
    sent = 0
    async with connected(answering) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n")
        ended = asyncio.ensure_future(closed(reader))
        while not ended.done():
            sent += writer.write(b"a: " + b"b" * 4_000 + b"\r\n") or 4_005
            await asyncio.wait([ended], timeout=0.01)

        assert ended.exception() or ended.result().startswith(b"HTTP/1.1 431 ")
        assert sent < 10 * MOST_HEADERS


async def test_as_many_headers_as_are_usual_are_read() -> None:
    """A long cookie and a token among them, in the body's packet or before it."""
    usual = b"cookie: " + b"c" * 30_000 + b"\r\nauthorization: Bearer " + b"t" * 20_000
    async with connected(answering) as (reader, writer):
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nhost: h\r\n" + usual + b"\r\n\r\n")

            assert b"200 OK" in await reader.readuntil(b"answer")
