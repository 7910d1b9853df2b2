"""Perspective's clients, as they were published, against a running server.

Those that let one name a host get ours. Those that fix it are run with that host on this machine,
behind a certificate in its name; their own code stays as it is. `clients/` has what they are told
to ask, a script each.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import pytest

from rig.api_server import ApiServer, api_server
from rig.certificates import write_certificate
from rig.prefix_proxy import PrefixProxy, prefix_proxy

# Clients are installed within the first test that needs them.
pytestmark = pytest.mark.timeout(900)

CLIENTS: Final = Path(__file__).parent / "clients"
HOST: Final = "commentanalyzer.googleapis.com"
KEY: Final = "a key of the tests"
ALL: Final = ("TOXICITY", "SEVERE_TOXICITY", "PROFANITY", "THREAT", "INSULT", "IDENTITY_ATTACK")
SENTENCES: Final = [(0, 14), (15, 31)]  # of "You are awful. Have a nice day."
PATIENCE_S: Final = 300
UNDER_MODERATION: Final = {
    "/moderation/$discovery/rest",
    "/moderation/v1alpha1/comments:analyze",
    "/moderation/v1alpha1/comments:suggestscore",
}

EMPTY: Final = {
    "@type": "type.googleapis.com/google.commentanalyzer.v1alpha1.Error",
    "errorType": "COMMENT_EMPTY",
}
NON_EMPTY: Final = "Comment must be non-empty."
NOT_VALID: Final = "API key not valid. Please pass a valid API key."


# -- servers


def write_keys(folder: Path) -> Path:
    """Let one key in."""
    file = folder / "keys"
    file.write_text(f"tests {hashlib.sha256(KEY.encode()).hexdigest()}\n")
    return file


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One server for all clients that can be told where it is."""
    folder = tmp_path_factory.mktemp("server")
    with api_server(folder, TIDEGATE_API__KEYS=write_keys(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefixProxy]:
    """A server behind a proxy that has it under a path."""
    folder = tmp_path_factory.mktemp("behind")
    with (
        prefix_proxy("/moderation") as found,
        api_server(
            folder, TIDEGATE_API__KEYS=write_keys(folder), TIDEGATE_API__PUBLIC_URL=found.url
        ) as running,
    ):
        found.behind = urlsplit(running.url).netloc
        yield found


@pytest.fixture(scope="module")
def instead(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A server in the place of Perspective's host: the environment that leads clients to it."""
    folder = tmp_path_factory.mktemp("instead")
    certificate, key = write_certificate(folder, HOST)
    with api_server(
        folder,
        TIDEGATE_API__KEYS=write_keys(folder),
        TIDEGATE_API__TLS_CERTIFICATE=certificate,
        TIDEGATE_API__TLS_KEY=key,
    ) as running:
        trusted = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
        yield {
            "API_PORT": str(urlsplit(running.url).port),
            **dict.fromkeys(trusted, str(certificate)),
        }


# -- clients


def ran(command: list[str], environment: dict[str, str], cwd: Path = CLIENTS) -> Any:
    """Run a script and return the JSON that it printed."""
    direct = {n: v for n, v in os.environ.items() if not n.lower().endswith("_proxy")}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=direct | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def installed(command: list[str], cwd: Path) -> None:
    """Install clients, or skip where they are not to be had."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"{Path(command[0]).name} cannot install the clients: {done.stderr[-500:]}")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Give a runner of scripts that have npm's clients at hand."""
    npm, program = shutil.which("npm"), shutil.which("node")
    if not (npm and program):
        pytest.skip("npm is not on the path; Perspective's clients for Node are not tested")
    folder = tmp_path_factory.mktemp("node")
    for file in [*CLIENTS.glob("*.cjs"), *CLIENTS.glob("package*.json")]:
        shutil.copy(file, folder)
    installed([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)

    def run(*arguments: str, **environment: str) -> Any:
        return ran([program, *arguments], environment, folder)

    return run


@pytest.fixture
def python_client(tmp_path: Path, instead: dict[str, str]) -> Callable[..., Any]:
    """Give a runner that installs a client from PyPI and lets its script ask."""

    def run(name: str, key: str = KEY) -> Any:
        # In a folder of its own: two of these packages are imported under the same name.
        options = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--quiet"]
        target = ["--target", str(tmp_path / name), "-r", str(CLIENTS / f"{name}.txt")]
        installed([sys.executable, "-m", "pip", "install", *options, *target], tmp_path)
        return ran(
            [sys.executable, "at_loopback.py", f"ask_{name}.py", key],
            instead | {"PYTHONPATH": str(tmp_path / name)},
        )

    return run


@pytest.fixture(scope="module")
def googleapis(node: Callable[..., Any], server: ApiServer) -> Any:
    """What googleapis heard, asked in both its ways."""
    return node("ask_googleapis.cjs", server.url, KEY)


@pytest.fixture(scope="module")
def google_python(server: ApiServer) -> Any:
    """What google-api-python-client heard."""
    pytest.importorskip("googleapiclient", reason="needs google-api-python-client")
    return ran([sys.executable, "ask_google.py", server.url, KEY], {})


@pytest.fixture(scope="module")
def perspective_api_client(node: Callable[..., Any], instead: dict[str, str]) -> Any:
    """What perspective-api-client heard."""
    script = "ask_perspective_api_client.cjs"
    return node("--require", "./at_loopback.cjs", script, KEY, **instead)


def value(answer: Any, attribute: str = "TOXICITY") -> float:
    """Return a summary score as clients read it."""
    score = answer["attributeScores"][attribute]["summaryScore"]
    assert score["type"] == "PROBABILITY"
    assert isinstance(score["value"], float)
    return float(score["value"])


def places(answer: Any, attribute: str = "TOXICITY") -> list[tuple[int, int]]:
    """Return where an answer's spans begin and end."""
    return [(s["begin"], s["end"]) for s in answer["attributeScores"][attribute]["spanScores"]]


# -- google-api-python-client


def test_googles_python_client_builds_itself_of_our_description_and_analyzes(
    google_python: Any,
) -> None:
    """Scores of the whole comment and of each sentence, its language, and the token back."""
    answer = google_python["analyzed"]

    assert value(answer) > 0.5
    assert 0 <= value(answer, "INSULT") <= 1
    assert places(answer) == places(answer, "INSULT") == SENTENCES
    assert answer["languages"] == ["en"]
    assert answer["clientToken"] == "mine"


def test_googles_python_client_gets_the_fields_that_it_asks_for(google_python: Any) -> None:
    """`fields` is an argument of each of its methods."""
    assert google_python["partial"] == {
        "attributeScores": {"TOXICITY": {"summaryScore": {"type": "PROBABILITY"}}}
    }


def test_googles_python_client_suggests_a_score(google_python: Any) -> None:
    """The moderator's decision is taken, and the token comes back."""
    assert google_python["suggested"]["clientToken"] == "mine"


def test_googles_python_client_raises_for_an_empty_comment(google_python: Any) -> None:
    """An HttpError that has our words and Perspective's name for it."""
    assert google_python["empty"] == {"status": 400, "reason": NON_EMPTY, "details": [EMPTY]}


def test_googles_python_client_raises_for_a_wrong_key(google_python: Any) -> None:
    """An HttpError, which says that it is the key."""
    refused = google_python["wrong_key"]

    assert refused["status"] in (400, 403)
    assert refused["reason"] == NOT_VALID


def test_googles_python_client_finds_its_way_through_a_proxy_that_takes_a_prefix_away(
    proxy: PrefixProxy,
) -> None:
    """It asks where the description says, which is under the prefix, for all of its calls."""
    pytest.importorskip("googleapiclient", reason="needs google-api-python-client")

    found = ran([sys.executable, "ask_google.py", proxy.url, KEY], {})

    assert set(proxy.asked) == UNDER_MODERATION
    assert value(found["analyzed"]) > 0.5
    assert found["suggested"]["clientToken"] == "mine"
    assert found["empty"]["details"] == [EMPTY]
    assert found["wrong_key"]["reason"] == NOT_VALID


# -- googleapis for Node


@pytest.mark.parametrize("way", ["discovered", "shipped"])
def test_googleapis_for_node_analyzes(googleapis: Any, way: str) -> None:
    """By `discoverAPI`, and by the client that it carried until 2020."""
    answer = googleapis[way]["analyzed"]

    assert value(answer) > 0.5
    assert places(answer) == [(0, 31)]
    assert answer["languages"] == ["en"]
    assert answer["clientToken"] == "mine"


@pytest.mark.parametrize("way", ["discovered", "shipped"])
def test_googleapis_for_node_suggests_a_score(googleapis: Any, way: str) -> None:
    """The same for the moderator's decision."""
    assert googleapis[way]["suggested"]["clientToken"] == "mine"


def test_googleapis_for_node_rejects_for_an_empty_comment(googleapis: Any) -> None:
    """With our words as the error's message."""
    refused = googleapis["discovered"]["empty"]

    assert refused == {"status": 400, "message": NON_EMPTY, "details": [EMPTY]}


def test_googleapis_for_node_rejects_for_a_wrong_key(googleapis: Any) -> None:
    """With our words as the error's message."""
    refused = googleapis["discovered"]["wrong_key"]

    assert refused["status"] in (400, 403)
    assert refused["message"] == NOT_VALID


def test_what_googleapis_discovers_with_today_works_as_well(
    node: Callable[..., Any], server: ApiServer
) -> None:
    """Another HTTP client is in it, and another reader of our description."""
    found = node("ask_googleapis_common.cjs", server.url, KEY)

    assert value(found["analyzed"]) > 0.5
    assert found["suggested"]["clientToken"] == "mine"
    assert (found["empty"]["status"], found["empty"]["message"]) == (400, NON_EMPTY)
    assert found["empty"]["details"] == [EMPTY]
    assert found["wrong_key"]["message"] == NOT_VALID


def test_what_googleapis_discovers_with_finds_its_way_through_a_proxy(
    node: Callable[..., Any], proxy: PrefixProxy
) -> None:
    """It, too, puts the path of a call behind the whole address."""
    proxy.asked.clear()

    found = node("ask_googleapis_common.cjs", proxy.url, KEY)

    assert set(proxy.asked) == UNDER_MODERATION
    assert value(found["analyzed"]) > 0.5
    assert found["suggested"]["clientToken"] == "mine"


# -- perspective-api-client for Node, whose host is fixed


def test_perspective_api_client_analyzes(perspective_api_client: Any) -> None:
    """TOXICITY is what it asks for by itself, and it takes markup away."""
    answer = perspective_api_client["analyzed"]

    assert value(answer) > 0.5
    assert places(answer) == [(0, len("You are awful"))]


def test_perspective_api_client_gets_all_six_attributes(perspective_api_client: Any) -> None:
    """By the names that Perspective gives them."""
    answer = perspective_api_client["all"]

    assert set(answer["attributeScores"]) == set(ALL)
    assert all(0 <= value(answer, name) <= 1 for name in ALL)


def test_perspective_api_client_hands_a_whole_request_on(perspective_api_client: Any) -> None:
    """A threshold is one of a request's fields."""
    answer = perspective_api_client["request"]

    assert value(answer) > 0.5
    assert answer["clientToken"] == "mine"


def test_perspective_api_client_says_why_a_request_was_refused(
    perspective_api_client: Any,
) -> None:
    """Its ResponseError has our words."""
    empty, unknown = perspective_api_client["empty"], perspective_api_client["unknown"]

    assert empty == {"name": "ResponseError", "status": 400, "message": NON_EMPTY}
    assert unknown["status"] == 400
    assert unknown["message"].startswith("Unknown requested attribute: FLIRTATION; known are: ")
    assert perspective_api_client["wrong_key"]["message"] == NOT_VALID


# -- PyPI's perspective, perspectiveapi and PyPerspective, whose hosts are fixed


def test_perspective_from_pypi_gets_what_it_asks_for(python_client: Callable[..., Any]) -> None:
    """Every argument that it has, both calls, and its errors."""
    found = python_client("perspective")

    assert set(found["scores"]) == {"TOXICITY", "IDENTITY_ATTACK"}
    assert found["scores"]["TOXICITY"] > 0.5
    assert places(found["analyzed"]) == SENTENCES
    assert found["analyzed"]["clientToken"] == "mine"
    assert found["suggested"]["clientToken"] == "mine"
    assert found["empty"]["body"]["error"]["details"] == [EMPTY]
    assert found["wrong_key"]["body"]["error"]["message"] == NOT_VALID


def test_perspectiveapi_from_pypi_gets_what_it_asks_for(python_client: Callable[..., Any]) -> None:
    """Only what was asked for has a score."""
    found = python_client("perspectiveapi")

    assert {name for name, score in found.items() if score is not None} == {
        "TOXICITY",
        "SEVERE_TOXICITY",
        "INSULT",
        "THREAT",
    }
    assert found["TOXICITY"] > 0.5


def test_pyperspective_from_pypi_gets_what_it_asks_for(python_client: Callable[..., Any]) -> None:
    """It first sends a request without a body, to try its key."""
    found = python_client("pyperspective")

    assert set(found["scores"]) == {"TOXICITY", "INSULT"}
    assert found["scores"]["TOXICITY"] > 0.5
    assert found["spans"] == [[0, 13, "You are awful"]]
    assert found["languages"] == ["en"]
    assert len(found["detected"]) == 1


def test_pyperspective_from_pypi_knows_a_wrong_key(python_client: Callable[..., Any]) -> None:
    """By `details[0].reason`, which Google says is API_KEY_INVALID."""
    assert python_client("pyperspective", "another") == {"wrong_key": True}


# -- Coral 9.11: the two bodies that it posts


def coral(server: ApiServer, operation: str, body: bytes) -> tuple[int, Any]:
    """Post as Coral does: its endpoint, a slash, the operation and the key."""
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=PATIENCE_S)
    headers = {
        "Accept": "application/json, text/plain, */*",
        "Accept-Encoding": "gzip, compress, deflate, br",
        "Content-Type": "application/json",
        "User-Agent": "Coral Perspective/9.11.0",
    }
    with closing(connection):
        path = f"/v1alpha1/{operation}?key={quote(KEY).replace('%20', '+')}"
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.mark.parametrize("model", ["TOXICITY", "SEVERE_TOXICITY", "TOXICITY_EXPERIMENTAL"])
def test_coral_reads_the_score_of_its_model(server: ApiServer, model: str) -> None:
    """`attributeScores[model].summaryScore.value` is all that it looks at."""
    body = (
        '{"comment":{"text":"You are “awful”\\n\\nReally \\"awful\\" 😡"},"doNotStore":true,'
        f'"requestedAttributes":{{"{model}":{{}}}},"languages":["en"]}}'
    )

    status, data = coral(server, "comments:analyze", body.encode())

    assert status == 200
    assert 0 < value(data, model) <= 1


@pytest.mark.parametrize("parent", ["", r"\"reply_to_id_Coral_comment_id\":\"5f0c-parent\","])
@pytest.mark.parametrize("decision", ["0", "1"])
def test_coral_suggests_what_a_moderator_decided(
    server: ApiServer, decision: str, parent: str
) -> None:
    """0 for a comment that was approved, 1 for one that was rejected; a reply names its parent."""
    body = (
        '{"comment":{"text":"You are awful"},"context":{"entries":[{"text":"'
        r"{\"url\":\"https://news.example/a-story?commentID=5f0c-comment\","
        f"{parent}"
        r'\"Coral_comment_id\":\"5f0c-comment\"}"}]},'
        f'"attributeScores":{{"TOXICITY":{{"summaryScore":{{"value":{decision}}}}}}},'
        '"languages":["en"],"communityId":"Coral:https://talk.news.example/",'
        '"clientToken":"comment:5f0c-comment"}'
    )

    status, data = coral(server, "comments:suggestscore", body.encode())

    assert status == 200
    assert data["clientToken"] == "comment:5f0c-comment"
    assert data["requestedLanguages"] == ["en"]
