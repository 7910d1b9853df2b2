"""Bodies within bounds: what is too large is refused before it is read."""

from starlette.requests import Request

from worker.api.errors import ApiError


async def body_of(request: Request, most: int) -> bytes:
    """Read a request's body.

    Raises:
        ApiError: 413, it is or says that it is larger than `most` bytes.
    """
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > most:
        raise _too_large(most)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise _too_large(most)
        parts.append(part)
    return b"".join(parts)


def _too_large(most: int) -> ApiError:
    return ApiError(413, f"The body is larger than {most:,} bytes.", "INVALID_REQUEST")
