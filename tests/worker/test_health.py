"""The port that probes ask, over real HTTP."""

import json
import socket
from collections.abc import Callable
from contextlib import closing
from threading import Thread
from time import monotonic
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from rig.make import make_judged, make_record, make_shared, value_of
from schemas.errors import SettingsError
from worker.health import Health
from worker.metrics import Metrics
from worker.run import open_health, run_worker
from worker.settings import HealthSettings, Settings
from worker.shared import Shared, Stop

HOST = "127.0.0.1"


def get(port: int, path: str) -> tuple[int, str]:
    """Ask, and return status and body."""
    try:
        with urlopen(f"http://{HOST}:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def serve() -> Callable[[list[str], list[str]], int]:
    """Give a server of such troubles; it ends with the process."""

    def serve(not_live: list[str], not_ready: list[str]) -> int:
        return Health(HOST, 0, Metrics(), lambda: not_live, lambda: not_ready).serve().port

    return serve


def test_without_troubles_both_probes_say_ok(serve: Callable[[list[str], list[str]], int]) -> None:
    """200, and a word for people."""
    port = serve([], [])

    assert (200, "ok\n") == get(port, "/livez") == get(port, "/readyz")


def test_troubles_are_said_in_words(serve: Callable[[list[str], list[str]], int]) -> None:
    """503, a line each, and readiness is not liveness."""
    port = serve([], ["no broker is connected", "a window waits"])

    assert get(port, "/livez") == (200, "ok\n")
    assert get(port, "/readyz") == (503, "no broker is connected\na window waits\n")


def test_any_other_path_says_what_there_is(serve: Callable[[list[str], list[str]], int]) -> None:
    """404, and nothing that could be debugged from outside."""
    status, body = get(serve([], []), "/debug")

    assert status == 404
    assert "/livez" in body


def test_a_port_in_use_is_named() -> None:
    """Host and port, what the system said, and the setting."""
    with closing(socket.create_server((HOST, 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"health port {HOST}:{port} cannot be") as caught:
            Health(HOST, port, Metrics(), list, list)

    assert "in use" in caught.value.what
    assert "TIDEGATE_HEALTH__PORT" in (caught.value.hint or "")


def test_a_worker_names_a_port_in_use_before_it_looks_for_kafka(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And before the model is loaded: what a person can mend is said at once."""

    def looked(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("worker.run.check_topics", looked)
    monkeypatch.setattr("worker.run.heed_signals", lambda _: None)
    with closing(socket.create_server((HOST, 0))) as taken:
        health = HealthSettings(host=HOST, port=taken.getsockname()[1])

        with pytest.raises(SettingsError, match=r"health port .* cannot be opened"):
            run_worker(Settings(health=health))


def a_worker(stuck_after_s: float = 60) -> tuple[Shared, int]:
    """Return what a worker's threads share, and the port of its health."""
    health = HealthSettings(port=0, stuck_after_s=stuck_after_s)
    shared = Shared(Settings(health=health), Stop(1))
    return shared, open_health(shared, shared.metrics, shared.readiness.troubles).serve().port


def test_a_thread_that_does_not_turn_fails_liveness(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named; one that ended in good order is not."""
    shared, port = a_worker(stuck_after_s=60)
    hanging = Thread(target=shared.pulse.beat, name="device")

    def beat_and_rest() -> None:
        shared.pulse.beat()
        shared.pulse.rest()

    ended = Thread(target=beat_and_rest, name="intake")
    for thread in (hanging, ended):
        thread.start()
        thread.join()
    later = monotonic() + 61
    monkeypatch.setattr("worker.pulse.monotonic", lambda: later)

    status, body = get(port, "/livez")

    assert status == 503
    assert "thread device has not turned" in body
    assert "intake" not in body
    assert get(port, "/readyz")[0] == 503


def statistics(broker: str = "UP", coordinator: str = "up", join: str = "steady") -> str:
    """Return what a consumer says of its connections and its membership."""
    group = {"state": coordinator, "join_state": join}
    return json.dumps({"brokers": {"a": {"state": broker}}, "cgrp": group})


def test_a_worker_is_ready_when_the_group_let_it_in() -> None:
    """A broker that is away makes it not ready, and never not live."""
    shared, port = a_worker(stuck_after_s=60)
    assert get(port, "/readyz") == (503, "the group has not let this worker in yet\n")

    shared.readiness.clear("group")
    assert get(port, "/readyz") == (200, "ok\n")
    shared.events.consumer_statistics(statistics(broker="DOWN"))
    assert get(port, "/readyz") == (503, "no broker is connected\n")
    assert get(port, "/livez")[0] == 200
    shared.events.consumer_statistics(statistics())

    assert get(port, "/readyz") == (200, "ok\n")


def test_who_was_told_to_stop_is_not_ready() -> None:
    """Its port refuses already: whoever balances by readiness must hear of it; it lives on."""
    shared, port = a_worker()
    shared.readiness.clear("group")

    shared.stop.set()

    assert get(port, "/readyz") == (503, "it was told to stop\n")
    assert get(port, "/livez")[0] == 200


def test_a_worker_without_its_coordinator_is_not_ready_whatever_else_it_reaches() -> None:
    """It goes on fetching, and does not hear that others have its partitions."""
    shared, port = a_worker(stuck_after_s=60)
    shared.events.consumer_statistics(statistics(join="wait-join"))
    assert get(port, "/readyz")[0] == 503
    shared.events.consumer_statistics(statistics())
    assert get(port, "/readyz") == (200, "ok\n")

    shared.events.consumer_statistics(statistics(coordinator="wait-broker-transport", join="init"))
    assert get(port, "/readyz") == (503, "the group's coordinator is away\n")
    assert get(port, "/livez")[0] == 200
    shared.events.consumer_statistics(statistics(join="init"))  # one too many has no other state

    assert get(port, "/readyz") == (200, "ok\n")


def test_metrics_count_what_was_published() -> None:
    """By action, label and reason, from closed sets; no community, no id, no word."""
    shared = make_shared()
    port = Health(HOST, 0, shared.metrics, list, list).serve().port
    window = make_judged(
        [
            make_record(0, value_of("qxzqxz", community="qxzcommunity")),
            make_record(1, b"{", b"c2"),
            make_record(2, None, b"c3"),
        ]
    )

    shared.metrics.published(window, 0.1)

    status, text = get(port, "/metrics")
    assert status == 200
    for line in (
        "tidegate_windows_total 1.0",
        'tidegate_dead_letters_total{reason="value_not_json"} 1.0',
        "tidegate_erasures_total 1.0",
        'tidegate_verdicts_total{action="review"} 1.0',
        "tidegate_window_records_sum 3.0",
    ):
        assert line in text.splitlines()
    assert "qxz" not in text


def test_lag_is_that_of_all_partitions() -> None:
    """From what was handed to the worker, or will be, to the last stable offset, and from there on.

    What others fetch counts nothing.
    """
    unknown = -1001
    partitions = [
        {
            "fetch_state": "active",
            "app_offset": 95,
            "next_offset": 98,
            "ls_offset": 100,
            "hi_offset": 107,
        },
        {
            "fetch_state": "active",
            "app_offset": unknown,
            "next_offset": 3,
            "ls_offset": 10,
            "hi_offset": 10,
        },
        {
            "fetch_state": "active",
            "app_offset": 5,
            "next_offset": 5,
            "ls_offset": unknown,
            "hi_offset": 9,
        },
        {
            "fetch_state": "none",
            "app_offset": 10,
            "next_offset": 10,
            "ls_offset": 50,
            "hi_offset": 60,
        },
    ]
    topics = {"t": {"partitions": {f"{n}": p for n, p in enumerate(partitions)}}}
    shared = make_shared()
    shared.events.consumer_statistics(
        json.dumps({"topics": topics, "brokers": {"a": {"state": "UP"}}})
    )

    assert b"tidegate_consumer_lag 12.0" in shared.metrics.render()
    assert b"tidegate_unstable_offsets 7.0" in shared.metrics.render()
    assert b"tidegate_broker_connected 1.0" in shared.metrics.render()
