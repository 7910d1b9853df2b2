"""The server's own thread."""

import asyncio
import socket
from contextlib import closing

import pytest
import uvicorn

from schemas.errors import ScoringError, SettingsError
from worker.api.serve import Server, _listen, _rooms
from worker.bundle import open_bundle
from worker.policies import load_policies
from worker.pulse import Pulse
from worker.settings import Settings
from worker.shared import Shared, Stop


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


def test_no_packet_of_an_answer_waits_for_the_clients_acknowledgement() -> None:
    """Nagle's algorithm and delayed acknowledgements together cost 40 ms."""
    with (
        closing(_listen("127.0.0.1", 0)) as listening,
        closing(socket.create_connection(listening.getsockname())),
        closing(listening.accept()[0]) as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_host_that_is_none_of_ours_is_named() -> None:
    """Another port would not help."""
    with pytest.raises(SettingsError) as refused:
        _listen("192.0.2.1", 0)  # an address for documentation: nobody's

    assert "TIDEGATE_API__HOST" in str(refused.value.hint)


def test_an_api_has_comments_that_come_alone_scored_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker has not: nobody waits for one comment of a stream."""
    asked: dict[str, object] = {}

    def load(*_: object, **options: object) -> None:
        asked.update(options)
        raise ScoringError("seen enough")

    monkeypatch.setattr("worker.api.serve.load_scorer", load)
    shared = Shared(Settings(), Stop(drain_s=1))
    bundle = open_bundle(shared.settings.bundle, allow_unsigned=False)
    policies = load_policies(shared.settings.policy, bundle.manifest)

    with pytest.raises(ScoringError, match="seen enough"):
        _rooms(shared, bundle, policies)

    assert asked == {"lone_first": True}


def test_batches_of_the_shipped_bundle_overlap_on_a_cpu() -> None:
    """Else a core waits for the last comment of each batch: the desk is told that it may."""
    shared = Shared(Settings(), Stop(drain_s=1))
    bundle = open_bundle(shared.settings.bundle, allow_unsigned=False)

    _, overlap = _rooms(shared, bundle, load_policies(None, bundle.manifest))

    assert overlap
