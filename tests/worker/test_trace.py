"""Which headers are a trace, and are passed on."""

import pytest

from worker.trace import Trace, trace_of

PARENT = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
STATE = ("tracestate", b"congo=t61rcWkgMzE")


@pytest.mark.parametrize(
    ("headers", "passed_on"),
    [
        ([PARENT, ("other", b"1"), STATE], [PARENT, STATE]),
        ([STATE, PARENT, STATE], [PARENT, STATE, STATE]),  # the standard lets a state be cut up
        ([("traceparent", PARENT[1] + b"-of.a.later.version")], "all"),
        ([STATE], []),
        ([PARENT, PARENT], []),
        ([("traceparent", None)], []),
        ([("traceparent", b"You are awful")], []),
        ([("traceparent", PARENT[1] + b"-" + b"x" * 65)], []),
        ([PARENT, ("tracestate", b"a=" + b"b" * 511)], [PARENT]),
        ([PARENT, *[("tracestate", b"a=" + b"b" * 298)] * 2], [PARENT]),
    ],
)
def test_a_trace_has_one_parent_and_a_state_of_bounded_size(
    headers: Trace, passed_on: Trace | str
) -> None:
    """What has another form is no trace; nothing else that a client sends gets into topics."""
    assert trace_of(headers) == (headers if passed_on == "all" else passed_on)
