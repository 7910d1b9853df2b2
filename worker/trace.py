"""What belongs to a trace goes from a comment to all that is said of it (W3C Trace Context)."""

import re
from collections.abc import Iterable
from typing import Final

PARENT, STATE = "traceparent", "tracestate"
NAMES: Final = (PARENT, STATE)
# What a later version appends is passed on, too.
A_PARENT: Final = re.compile(
    rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[\x21-\x7e]{0,64})?"
)
MOST_STATE: Final = 512  # bytes together: as much as the standard asks to be passed on

Trace = list[tuple[str, bytes | None]]


def trace_of(headers: Iterable[tuple[str, bytes | None]]) -> Trace:
    """Return those of a record's or a request's headers that are passed on.

    Without one parent, and one alone, there is no trace; a state that is too large is left out.
    """
    ours = [(name, value) for name, value in headers if name in NAMES]
    parents = [header for header in ours if header[0] == PARENT]
    if len(parents) != 1 or not A_PARENT.fullmatch(parents[0][1] or b""):
        return []
    states = [header for header in ours if header[0] == STATE]
    fits = sum(len(value or b"") for _, value in states) <= MOST_STATE
    return [*parents, *states] if fits else parents
