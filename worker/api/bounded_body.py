"""Bodies within bounds: what is too large is refused before it is read, what is too slow, too."""

import asyncio
from typing import Final

from starlette.requests import Request

from worker.api.errors import ApiError

READ_S: Final = 10.0  # for a megabyte at most


async def body_of(request: Request, most: int) -> bytes:
    """Read a request's body.

    Raises:
        ApiError: 413, it is or says that it is larger than `most` bytes; 408, it takes too long.
    """
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > most:
        raise _too_large(most)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_S):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.append(part)
    except TimeoutError:
        raise ApiError(408, f"The body did not arrive within {READ_S:g} s.") from None
    return b"".join(parts)


def _too_large(most: int) -> ApiError:
    return ApiError(413, f"The body is larger than {most:,} bytes.", "INVALID_REQUEST")
