"""Many comments in one request: JSON Lines in, JSON Lines out, in order.

The reader of a stream waits for no single comment: where a lone request would be told to come
again later, a stream is read more slowly.
"""

import asyncio
from asyncio import CancelledError
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Final

import orjson

from worker.api.api import Api
from worker.api.bodies import parsed
from worker.api.errors import ApiError, invalid, the_server_stops
from worker.api.keys import Key
from worker.api.scoring import CommentToScore, Result
from worker.trace import Trace

PATIENCE: Final = 60  # tries, a second or so apart
DEADLINE_S: Final = 60.0  # for the few lines that are judged together
BUSY: Final = (429, 503)
BETWEEN_S: Final = 300.0  # from one part of a body to the next, and until one of ours is read

Line = tuple[int, bytes | None]  # its number from 1 on; None: it is longer than is allowed


async def lines_of(
    parts: AsyncIterator[bytes], most_bytes: int, most_lines: int
) -> AsyncIterator[list[Line]]:
    """Cut a body into lines, and yield those that are there, at most so many at once.

    Raises:
        TimeoutError: no more of it came within BETWEEN_S.
    """
    rest, number, too_long = b"", 0, False
    while (part := await _next(parts)) is not None:
        *whole, rest = (rest + part).split(b"\n")
        lines: list[Line] = []
        for line in whole:
            number += 1
            lines.append((number, None if too_long or len(line) > most_bytes else line))
            too_long = False
        if len(rest) > most_bytes:  # what follows of it is not kept either
            rest, too_long = b"", True
        for start in range(0, len(lines), most_lines):
            yield lines[start : start + most_lines]
    if rest.strip() or too_long:
        yield [(number + 1, None if too_long else rest)]


async def _next(parts: AsyncIterator[bytes]) -> bytes | None:
    async with asyncio.timeout(BETWEEN_S):
        return await anext(parts, None)


async def answered_lines(
    api: Api, key: Key, lines: AsyncIterator[Sequence[Line]], scale: str | None, trace: Trace
) -> AsyncGenerator[bytes]:
    """Yield a line for each line that is not empty: a result, or what was wrong with it.

    When the server ends before the stream does, or no more of it comes, the last line says from
    which line on there are no answers.
    """
    answered = 0
    try:
        async for some in lines:
            read = [(number, _read(line)) for number, line in some if line is None or line.strip()]
            comments = [found for _, found in read if isinstance(found, CommentToScore)]
            results = iter(await _patiently(api, key, comments, scale, trace))
            answers = [
                _shown(found if isinstance(found, ApiError) else next(results), number)
                for number, found in read
            ]
            yield b"".join(orjson.dumps(answer) + b"\n" for answer in answers)
            answered = some[-1][0]
    except CancelledError:  # by the server's end only, when its time to drain is over
        yield orjson.dumps(_shown(the_server_stops(), answered + 1)) + b"\n"
    except TimeoutError:
        late = ApiError(408, f"No more of the body arrived within {BETWEEN_S:g} s.")
        yield orjson.dumps(_shown(late, answered + 1)) + b"\n"


def _read(line: bytes | None) -> CommentToScore | ApiError:
    if line is None:
        return invalid("The line is too long.")
    try:
        return parsed(CommentToScore, line)
    except ApiError as refused:
        return refused


def _shown(result: Result | ApiError, number: int) -> dict[str, Any]:
    shown = result.body() if isinstance(result, ApiError) else result.model_dump(mode="json")
    return {"line": number, **shown}


async def _patiently(
    api: Api, key: Key, comments: Sequence[CommentToScore], scale: str | None, trace: Trace
) -> Sequence[Result | ApiError]:
    """Judge comments when it is their turn; what still cannot be judged has an error for each."""
    if not comments:
        return []
    refused = ApiError(503, "The comments could not be judged in time.")
    is_charged = False  # once: waiting for the device costs a key nothing
    for _ in range(PATIENCE):
        try:
            if not is_charged:
                key.spend(len(comments))
                is_charged = True
            return await api.score(comments, scale, trace, deadline_s=DEADLINE_S)
        except ApiError as error:
            refused = error
            if error.code not in BUSY:
                break
            await asyncio.sleep(error.retry_after_s or 1)
    if is_charged:
        key.give_back(len(comments))
    return [refused] * len(comments)
