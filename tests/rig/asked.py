"""An ASGI application asked in this process, as a server would ask it."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

from starlette.types import ASGIApp, Message, Scope


class Answered(NamedTuple):
    """What came back."""

    code: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error in the body."""
        found: dict[str, Any] = self.json["error"]
        return found


def asked(  # noqa: PLR0913 - what makes a request
    app: ASGIApp,
    path: str,
    body: Any = None,
    *,
    method: str = "POST",
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    then: Literal["waits", "leaves", "hangs"] = "waits",
) -> Answered:
    """Ask, and return the answer.

    Args:
        app: the application.
        path: without the query.
        body: bytes, parts of bytes, or what is sent as JSON.
        method: of HTTP.
        query: parameters.
        headers: beside the content's type.
        then: what the client does after these parts: it waits for the answer, or is in the middle
            of its body and leaves, or says nothing more.
    """
    if isinstance(body, bytes):
        parts: Sequence[bytes] = [body]
    elif isinstance(body, list) and all(isinstance(part, bytes) for part in body):
        parts = body
    else:
        parts = [json.dumps(body).encode()]
    return asyncio.run(_asked(app, scope_of(path, method, query, headers), parts, then))


def scope_of(
    path: str,
    method: str = "POST",
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Scope:
    """Return a request as an application is told of it."""
    sent = {"content-type": "application/json"} | dict(headers or {})
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": urlencode(query or {}).encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080),
    }


async def _asked(app: ASGIApp, scope: Scope, parts: Sequence[bytes], then: str) -> Answered:
    waiting = list(parts)
    heard: list[Message] = []

    async def receive() -> Message:
        if not waiting and then == "hangs":
            await asyncio.Event().wait()
        if not waiting:
            return {"type": "http.disconnect"}
        part = waiting.pop(0)
        more = bool(waiting) or then != "waits"
        return {"type": "http.request", "body": part, "more_body": more}

    async def send(message: Message) -> None:
        heard.append(message)

    await app(scope, receive, send)
    start, *rest = heard
    return Answered(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(message.get("body", b"") for message in rest),
    )
