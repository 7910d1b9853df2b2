"""The example for nginx in docs/api.md, as it stands there, run by nginx before a server."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from rig.api_server import api_server
from rig.stream import eventually

DOCUMENT: Final = Path(__file__).parents[3] / "docs" / "api.md"
BODY: Final = {"comment": {"text": "You are awful"}, "requestedAttributes": {"TOXICITY": {}}}
PATIENCE_S: Final = 60
KEY: Final = "wave-4711"

# What a file of nginx has around the example; temporary files lie in the test's folder.
AROUND: Final = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{example}
}}
"""


def example(behind: str, port: int, folder: Path) -> str:
    """Return the example, but for addresses, the place of its log, and TLS."""
    (text,) = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    text = re.sub(r"\n +ssl_\w+ [^\n]*", "", text)
    for said, here in {
        "server 127.0.0.1:8080;": f"server {behind};",
        "listen 443 ssl;": f"listen 127.0.0.1:{port};",
        "/var/log/nginx/": f"{folder}/",
    }.items():
        assert said in text
        text = text.replace(said, here)
    return text


def free_port() -> int:
    """Return a port that nobody uses."""
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all files of the run lie."""
    return tmp_path_factory.mktemp("nginx")


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """Run nginx before a server, and return its port."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not nginx:
        pytest.skip("nginx is not on the path: the example is not tried")
    port, config = free_port(), folder / "nginx.conf"
    public = f"http://127.0.0.1:{port}/moderation"
    with api_server(folder, TIDEGATE_API__PUBLIC_URL=public) as server:
        behind = urlsplit(server.url).netloc
        config.write_text(AROUND.format(folder=folder, example=example(behind, port, folder)))
        command = [nginx, "-e", "stderr", "-p", str(folder), "-c", str(config)]
        with (
            (folder / "said").open("wb") as said,
            subprocess.Popen(command, stderr=said) as running,
        ):
            try:
                eventually(lambda: listens(port), (folder / "said").read_text)
                yield port
            finally:
                running.terminate()


def listens(port: int) -> bool:
    """Say whether somebody does."""
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), 1)):
        return True
    return False


def ask(port: int, method: str, path: str, body: bytes = b"", kind: str = "") -> tuple[int, Any]:
    """Ask nginx, and return code and body."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
        connection.request(method, path, body, {"Content-Type": kind or "application/json"})
        response = connection.getresponse()
        return response.status, response.read()


def test_calls_go_where_the_discovery_document_says(port: int) -> None:
    """Its address leads through nginx again, and the path is taken away."""
    code, found = ask(port, "GET", "/moderation/$discovery/rest?version=v1alpha1")
    document = json.loads(found)
    path = document["resources"]["comments"]["methods"]["analyze"]["path"]
    url = urlsplit(document["rootUrl"] + path)

    analyzed, answer = ask(port, "POST", url.path, json.dumps(BODY).encode())

    assert (code, url.port, analyzed) == (200, port, 200)
    assert "TOXICITY" in json.loads(answer)["attributeScores"]


def test_a_large_body_is_refused_and_a_large_stream_is_not(port: int) -> None:
    """The stream is as long as one likes, though each of its lines is bounded."""
    large = b"\n" * 1_500_000 + b'{"text": "You are awful"}\n'

    assert ask(port, "POST", "/moderation/v1alpha1/comments:analyze", large)[0] == 413
    assert ask(port, "POST", "/moderation/v1/score", large)[0] == 413
    code, answer = ask(port, "POST", "/moderation/v1/score", large, "application/jsonl")
    assert (code, json.loads(answer)["line"]) == (200, 1_500_001)


def test_lines_are_answered_while_the_request_is_still_being_sent(port: int) -> None:
    """Nothing on the way waits for the end of either."""
    begin = (
        b"POST /moderation/v1/score HTTP/1.1\r\nHost: example.org\r\n"
        b"Content-Type: application/jsonl\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with closing(socket.create_connection(("127.0.0.1", port), PATIENCE_S)) as connection:
        reader = connection.makefile("rb")
        connection.sendall(begin)
        for number in (1, 2):
            line = b'{"text": "You are awful"}\n'
            connection.sendall(b"%x\r\n%s\r\n" % (len(line), line))
            answer = next(found for found in reader if found.startswith(b"{"))
            assert json.loads(answer)["line"] == number
        connection.sendall(b"0\r\n\r\n")
        assert b"0\r\n" in reader.read(7)


def test_the_access_log_has_no_keys(port: int, folder: Path) -> None:
    """They stand in the query, which is left out."""
    path = f"/moderation/v1alpha1/comments:analyze?key={KEY}"
    assert ask(port, "POST", path, json.dumps(BODY).encode())[0] == 200

    log = folder / "tidegate.log"
    eventually(lambda: "comments:analyze" in log.read_text(), log.read_text)
    assert KEY not in log.read_text()
