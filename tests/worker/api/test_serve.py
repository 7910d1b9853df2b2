"""The server's own thread."""

import asyncio

import uvicorn

from worker.api.serve import Server
from worker.pulse import Pulse
from worker.shared import Stop


def test_a_server_that_does_not_turn_fails_liveness() -> None:
    """As any thread: it says ten times a second that it turns."""
    pulse, stop = Pulse(), Stop(drain_s=1)
    server = Server(uvicorn.Config("none:none", log_config=None), stop, pulse)

    assert not asyncio.run(server.on_tick(1))

    assert pulse.stuck(after_s=-1) == ["server"]
    assert pulse.stuck(after_s=60) == []


def test_a_server_ends_when_the_end_is_wished_for() -> None:
    """By our own signal handlers, or a thread that failed."""
    stop = Stop(drain_s=1)
    server = Server(uvicorn.Config("none:none", log_config=None), stop, Pulse())
    stop.set()

    assert asyncio.run(server.on_tick(1))
