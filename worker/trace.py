"""What belongs to a trace goes from a comment to all that is said of it (W3C Trace Context)."""

from collections.abc import Iterable
from typing import Final

# With the bytes that the standard grants each: a larger one is no trace.
PASSED_ON: Final = {"traceparent": 64, "tracestate": 512}

Trace = list[tuple[str, bytes | None]]


def trace_of(headers: Iterable[tuple[str, bytes | None]]) -> Trace:
    """Return those of a record's or a request's headers that are passed on."""
    return [(n, v) for n, v in headers if n in PASSED_ON and len(v or b"") <= PASSED_ON[n]]
