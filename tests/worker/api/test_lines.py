"""JSON Lines: a stream waits where a lone request is told to come again later."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import worker.api.application
import worker.api.keys
import worker.api.lines
from rig.asked import asked
from worker.api.application import Application, Lines
from worker.api.desk import Desk
from worker.api.errors import ApiError

JSONL = {"content-type": "application/jsonl"}


def busy(times: int) -> Callable[..., Any]:
    """Return a way to judge that first sends the comments away so many times."""
    judge, left = Desk.judge, iter(range(times))

    async def judged(*arguments: Any) -> Any:
        if next(left, None) is not None:
            raise ApiError(429, "More comments wait than can be judged.", retry_after_s=1e-6)
        return await judge(*arguments)

    return judged


def test_a_media_type_is_known_in_any_case(make: Callable[..., Application]) -> None:
    """As HTTP has it."""
    headers = {"content-type": "Application/JSONL; charset=utf-8"}

    answered = asked(make(), "/v1/score", b'{"text": "a"}\n{"text": "b"}\n', headers=headers)

    assert len(answered.body.splitlines()) == 2


def test_a_stream_of_which_nothing_more_comes_is_told_so(
    make: Callable[..., Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be kept for good."""
    monkeypatch.setattr(worker.api.lines, "BETWEEN_S", 0.05)

    answered = asked(make(), "/v1/score", [b'{"text": "a"}\n{"te'], headers=JSONL, then="hangs")

    first, last = map(json.loads, answered.body.splitlines())
    assert first["status"] == "scored"
    assert (last["line"], last["error"]["code"]) == (2, 408)


@pytest.mark.parametrize("server_ends", [False, True])
def test_a_stream_that_nobody_reads_ends_in_good_order(
    *, server_ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while, or with the server: else it is kept for good, or its end is a traceback."""
    monkeypatch.setattr(worker.api.application, "BETWEEN_S", 30 if server_ends else 0.05)
    ended: list[str] = []

    async def lines() -> AsyncGenerator[bytes]:
        try:
            yield b"{}\n"
        finally:
            ended.append("closed")

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def stream() -> None:
        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                if server_ends:  # as when its time to drain is over
                    answering.cancel()
                await asyncio.Event().wait()

        answering = asyncio.ensure_future(Lines(lines(), {})({}, receive, send))
        done, _ = await asyncio.wait([answering], timeout=30)  # which cancels nothing
        assert done
        answering.result()
        assert ended == ["closed"]  # before the loop's own end would close it

    asyncio.run(stream())


def test_a_line_that_waits_is_charged_to_its_key_once(
    make: Callable[..., Application], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the machine is asked: of five a second, two lines leave three."""
    monkeypatch.setattr(worker.api.keys, "monotonic", lambda: 100.0)  # nothing comes back
    monkeypatch.setattr(Desk, "judge", busy(times=5))
    keys, query = tmp_path / "keys", {"key": "wave"}
    keys.write_text(f"site {sha256(b'wave').hexdigest()} 5\n")
    app = make(keys=keys)

    answered = asked(
        app, "/v1/score", b'{"text": "a"}\n{"text": "b"}\n', query=query, headers=JSONL
    )
    alone = [asked(app, "/v1/score", {"text": "c"}, query=query).code for _ in range(4)]

    assert [json.loads(line)["status"] for line in answered.body.splitlines()] == ["scored"] * 2
    assert alone == [200, 200, 200, 429]
