"""The server as a process: the shipped bundle behind a port, probes, ends, and who may not ask."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption

from rig.api_server import ApiServer, api_server
from rig.certificates import write_certificate
from rig.stream import eventually

TLS = ("TIDEGATE_API__TLS_CERTIFICATE", "TIDEGATE_API__TLS_KEY")
JSONL = {"content-type": "application/jsonl"}
TEXT = "You are a stupid idiot and everybody knows it."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Run one for those that end nothing."""
    with api_server(tmp_path_factory.mktemp("server")) as found:
        yield found


def post(url: str, path: str, body: Any, **headers: str) -> tuple[int, dict[str, str], Any]:
    """Post JSON, and return code, headers and answer."""
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=120)) as connection:
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        found = response.read()
        return response.status, dict(response.getheaders()), json.loads(found)


def get(url: str) -> tuple[int, str]:
    """Get a page."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.netloc, timeout=60)) as connection:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def test_the_shipped_bundle_answers(server: ApiServer) -> None:
    """Perspective's call and our own say the same of a comment."""
    body = {"comment": {"text": TEXT}, "requestedAttributes": {"TOXICITY": {}, "THREAT": {}}}

    code, headers, ours = post(server.url, "/v1/score", {"text": TEXT})
    _, _, theirs = post(server.url, "/v1alpha1/comments:analyze?key=any", body)

    (result,) = ours["results"]
    assert (code, result["action"], "insult" in result["labels"]) == (200, "remove", True)
    found = {
        name: scores["summaryScore"]["value"] for name, scores in theirs["attributeScores"].items()
    }
    assert found == pytest.approx(
        {"TOXICITY": result["scores"]["toxic"], "THREAT": result["scores"]["threat"]}, abs=0.01
    )
    assert headers["x-tidegate-model"].startswith("tide-10/")


def test_many_at_once_get_their_own_answers(server: ApiServer) -> None:
    """Across requests they share batches."""
    texts = [f"{TEXT} {'word ' * n}" for n in range(12)]
    found: dict[int, float] = {}

    def ask(number: int) -> None:
        _, _, answer = post(server.url, "/v1/score", {"text": texts[number], "id": str(number)})
        assert answer["results"][0]["id"] == str(number)
        found[number] = answer["results"][0]["scores"]["toxic"]

    threads = [Thread(target=ask, args=(number,)) for number in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    _, _, together = post(server.url, "/v1/score", {"comments": [{"text": text} for text in texts]})
    expected = [result["scores"]["toxic"] for result in together["results"]]
    assert [found[number] for number in range(len(texts))] == pytest.approx(expected, abs=0.02)


def test_probes_and_figures_have_a_port_of_their_own(server: ApiServer) -> None:
    """As a worker has; the port of calls shows neither."""
    post(server.url, "/v1/score", {"text": TEXT})

    assert get(f"{server.health_url}/livez") == (200, "ok\n")
    assert get(f"{server.health_url}/readyz") == (200, "ok\n")
    assert (
        'tidegate_api_answers_total{call="score",code="200"}'
        in get(f"{server.health_url}/metrics")[1]
    )
    assert get(f"{server.url}/metrics")[0] == 404


def test_a_thread_that_has_done_its_part_does_not_fail_liveness(tmp_path: Path) -> None:
    """Only the device's must turn; what loaded the model has ended long before."""
    with api_server(tmp_path, TIDEGATE_HEALTH__STUCK_AFTER_S=15) as server:
        begun = get(f"{server.health_url}/metrics")[0]
        eventually(lambda: _seconds_since_start(server) > 17, within_s=60, tick_s=1)
        assert (begun, get(f"{server.health_url}/livez")) == (200, (200, "ok\n"))


def _seconds_since_start(server: ApiServer) -> float:
    (started,) = server.events("api started")
    return (datetime.now(UTC) - datetime.fromisoformat(started["timestamp"])).total_seconds()


CHECKS = (
    "not_a_server_error",
    "response_schema_conformance",
    "status_code_conformance",
    "content_type_conformance",
    "unsupported_method",
)


def test_it_keeps_to_its_openapi_document(server: ApiServer, tmp_path: Path) -> None:
    """Whatever schemathesis makes of the document."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"]
    options = ["--max-examples", "20", "--seed", "1", "--request-timeout", "60", "--no-color"]

    done = subprocess.run(
        [*command, *options, "--checks", ",".join(CHECKS)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3_000:]
    assert "Tested: 3" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(number: signal.Signals, tmp_path: Path) -> None:
    """What was accepted is answered, the status is 0."""
    answers: list[int] = []
    with api_server(tmp_path) as server:
        comments = [{"text": TEXT * 5} for _ in range(60)]
        asking = Thread(
            target=lambda: answers.append(post(server.url, "/v1/score", {"comments": comments})[0])
        )
        asking.start()
        eventually(lambda: _waits(server), lambda: server.said)
        server.process.send_signal(number)
        asking.join()
        assert server.process.wait(60) == 0
        assert len(server.events("api stopped")) == 1
    assert answers == [200]


def test_what_is_unanswered_at_the_servers_end_is_told_so(tmp_path: Path) -> None:
    """A stream learns from which line on; nothing looks like a fault of ours in the log."""
    stream, slow = b'{"text": "%b"}\n' % TEXT.encode(), b'{"text":'
    with api_server(tmp_path, TIDEGATE_PUBLISH__DRAIN_S=1) as server, ExitStack() as opened:
        lines, body = (
            opened.enter_context(closing(HTTPConnection(urlsplit(server.url).netloc, timeout=60)))
            for _ in range(2)
        )
        for connection, kind in ((lines, "application/jsonl"), (body, "application/json")):
            connection.putrequest("POST", "/v1/score")
            connection.putheader("content-type", kind)
            connection.putheader("content-length", "1000")
            connection.endheaders()
        lines.send(stream)
        body.send(slow)
        answer = lines.getresponse()
        assert json.loads(answer.readline())["status"] == "scored"
        server.process.send_signal(signal.SIGTERM)

        (last,) = answer.read().splitlines()
        refused = body.getresponse()
        error = json.loads(refused.read())["error"]

        assert server.process.wait(60) == 0
        said = json.loads(last)
        assert (said["line"], said["error"]["code"]) == (2, 503)
        assert (refused.status, error["message"]) == (503, "The server is stopping.")
        assert "Traceback" not in server.said


def test_a_stream_that_is_being_judged_at_the_servers_end_makes_it_no_failure(
    tmp_path: Path,
) -> None:
    """What the device still has then is answered to nobody."""
    body = b"\n".join([json.dumps({"text": TEXT * 40}).encode()] * 2_000)
    with api_server(tmp_path, TIDEGATE_PUBLISH__DRAIN_S=1) as server:
        with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=60)) as connection:

            def stream() -> None:
                with suppress(OSError):  # the server ends before all is sent
                    connection.request("POST", "/v1/score", body, JSONL)

            sending = Thread(target=stream)
            sending.start()
            eventually(lambda: _waits(server), lambda: server.said)
            server.process.send_signal(signal.SIGTERM)

            assert server.process.wait(60) == 0
            sending.join()
        assert len(server.events("api stopped")) == 1
        assert "Traceback" not in server.said


def _waits(server: ApiServer) -> bool:
    metrics = get(f"{server.health_url}/metrics")[1]
    return "tidegate_api_waits_seconds 0.0\n" not in metrics


def test_neither_keys_nor_texts_are_logged(tmp_path: Path) -> None:
    """Whatever is asked, and however wrong."""
    keys = tmp_path / "keys"
    keys.write_text(f"site {sha256(b'wave-4711').hexdigest()}\n")
    with api_server(tmp_path, TIDEGATE_API__KEYS=keys, TIDEGATE_LOG__LEVEL="debug") as server:
        for path in ("/v1/score", "/v1alpha1/comments:analyze", "/nowhere"):
            for key in ("wave-4711", "other-0815"):
                post(server.url, f"{path}?key={key}", {"text": TEXT, "comment": {"text": TEXT}})
                post(server.url, f"{path}?key={key}", {"text": [TEXT]})
        assert post(server.url, "/v1/score?key=wave-4711", {"text": TEXT})[0] == 200

        for secret in ("wave-4711", "other-0815", "stupid", "nowhere"):
            assert secret not in server.said


@pytest.mark.parametrize("setting", ["TIDEGATE_API__PORT", "TIDEGATE_HEALTH__PORT"])
def test_a_port_in_use_is_named_before_anything_is_loaded(setting: str, tmp_path: Path) -> None:
    """Not after the model."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        said = refused(tmp_path, **{setting: taken.getsockname()[1]})

    assert "cannot be opened" in said
    assert setting in said


def test_a_scale_that_the_bundle_has_no_map_to_is_named_before_anything_is_loaded(
    tmp_path: Path,
) -> None:
    """With those that it has."""
    said = refused(tmp_path, TIDEGATE_API__SCALE="fahrenheit")

    assert "TIDEGATE_API__SCALE is fahrenheit" in said
    assert "perspective" in said


def test_a_certificate_that_is_none_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    """Not by a traceback of the server, when all else is ready."""
    (tmp_path / "junk.pem").write_text("no certificate")

    said = refused(tmp_path, **dict.fromkeys(TLS, tmp_path / "junk.pem"))

    assert "TIDEGATE_API__TLS_CERTIFICATE" in said


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    """A prompt in a container waits for good."""
    certificate, key = write_certificate(tmp_path, "localhost", BestAvailableEncryption(b"wave"))

    said = refused(tmp_path, **dict(zip(TLS, (certificate, key), strict=True)))

    assert "its key without a password" in said


def refused(folder: Path, **environment: object) -> str:
    """Return what a server says that does not start, and has not loaded the model."""
    with pytest.raises(AssertionError) as failed, api_server(folder, **environment):
        pass
    said = str(failed.value)
    assert "Traceback" not in said
    assert "engine ready" not in said
    return said
