"""The API joined to a real cluster: what was answered 200 is there, once, whatever happens."""

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from faults.cluster import Cluster, one_node
from rig.api_server import ApiServer, api_server
from rig.stream import Stream, eventually
from schemas.verdict import Verdict
from worker.window import Record

__all__ = ["one_node"]  # a fixture

pytestmark = pytest.mark.broker

TEXT = "You are a stupid idiot and everybody knows it."

MakeStream = Callable[[int], Stream]
Serve = Callable[..., AbstractContextManager[ApiServer]]


@pytest.fixture
def stream(make_stream: MakeStream) -> Stream:
    """Give topics of three partitions."""
    return make_stream(3)


@pytest.fixture
def serve(stream: Stream, tmp_path: Path) -> Serve:
    """Give a starter of servers that publish there."""

    def served(**settings: object) -> AbstractContextManager[ApiServer]:
        return serving(stream, tmp_path, settings)

    return served


def serving(
    stream: Stream, folder: Path, settings: Mapping[str, object]
) -> AbstractContextManager[ApiServer]:
    """Run a server that publishes on a stream's topics."""
    ours: dict[str, object] = {
        "TIDEGATE_API__PUBLISH": "before-answer",
        "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": stream.servers,
        "TIDEGATE_KAFKA__GROUP_ID": stream.name,
        **{f"TIDEGATE_TOPICS__{name.upper()}": topic for name, topic in stream.topics},
    }
    return api_server(folder, **(ours | dict(settings)))


def status(url: str) -> int:
    """Ask a probe."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.netloc, timeout=60)) as connection:
        connection.request("GET", parts.path)
        return connection.getresponse().status


def post(url: str, path: str, body: Any) -> tuple[int, Any]:
    """Post JSON, and return code and answer."""
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:
        connection.request("POST", path, json.dumps(body))
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def analyze(server: ApiServer, token: str) -> int:
    """Ask for an analysis, and return the code."""
    body = {
        "comment": {"text": f"{TEXT} {token}"},
        "requestedAttributes": {"TOXICITY": {}},
        "clientToken": token,
    }
    return post(server.url, "/v1alpha1/comments:analyze", body)[0]


def keys(records: list[Record]) -> Counter[str]:
    """Count records by their key."""
    return Counter((record.key or b"").decode() for record in records)


@contextmanager
def many_ask(server: ApiServer, name: str = "t") -> Iterator[set[str]]:
    """Have four clients ask all the while, a token a comment; give those answered 200 so far."""
    answered: set[str] = set()
    numbers, end = count(), Event()

    def ask() -> None:
        while not end.is_set():
            token = f"{name}{next(numbers)}"
            try:
                if analyze(server, token) == 200:
                    answered.add(token)
            except (HTTPException, OSError):
                end.wait(0.05)  # it was killed, and nobody listens

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        end.set()
        for thread in threads:
            thread.join()


def is_longer(some: set[str], length: int) -> bool:
    """Say whether there are more than so many."""
    return len(some) > length


def test_what_is_answered_is_on_the_topics(stream: Stream, serve: Serve) -> None:
    """By the time it is answered; a suggestion, too. `tidegate reconcile` counts them apart."""
    with serve() as server:
        assert analyze(server, "comment:7") == 200
        (verdict,) = stream.read(stream.topics.verdicts)
        (flag,) = stream.read(stream.topics.flags)
        body = {
            "comment": {"text": TEXT},
            "attributeScores": {"TOXICITY": {"summaryScore": {"value": 1}}},
            "clientToken": "comment:7",
        }
        assert post(server.url, "/v1alpha1/comments:suggestscore", body)[0] == 200
        (feedback,) = stream.read(stream.topics.feedback)
        assert server.process.poll() is None

    assert [r.key for r in (verdict, flag, feedback)] == [b"comment:7"] * 3
    assert verdict.value == flag.value
    assert Verdict.model_validate_json(verdict.value or b"").source is None
    with stream.worker() as worker:
        stream.produce_comments(range(50))
        stream.wait_until_judged()
        assert worker.stop() == 0
    report = stream.reconciled()
    assert (report.counts["verdicts of the API"], report.counts["verdicts"]) == (1, 50)
    assert report.counts["flags of the API"] == 1
    stream.prove()


def test_a_server_that_is_killed_has_answered_nothing_that_is_not_there(
    stream: Stream, serve: Serve
) -> None:
    """And its successor ends what it left open, so that readers wait for nobody."""
    answered: set[str] = set()
    for name in ("a", "b", "c"):
        with serve() as server, many_ask(server, name) as some:
            eventually(partial(is_longer, some, 20))
            server.process.kill()
            server.process.wait()
        answered |= some
    with serve() as server:
        assert analyze(server, "last") == 200

    verdicts, flags = (stream.read(t) for t in (stream.topics.verdicts, stream.topics.flags))
    found = keys(verdicts)
    assert answered <= found.keys()
    assert all(number == 1 for token, number in found.items() if token in answered)
    assert keys(flags) == found
    ids = Counter(json.loads(record.value or b"")["verdict_id"] for record in verdicts)
    assert max(ids.values()) == 1


def test_while_the_broker_is_away_it_says_so_and_goes_on_afterwards(
    one_node: Cluster, tmp_path: Path
) -> None:
    """503 at once, not ready, and no restart; what was answered 200 before and after is there."""
    stream = one_node.stream("api-rides-out", 3, tmp_path).create()
    late = {"TIDEGATE_API__DEADLINE_S": 2, "TIDEGATE_PUBLISH__TRANSACTION_TIMEOUT_S": 60}
    with serving(stream, tmp_path, late) as server, many_ask(server) as answered:
        eventually(partial(is_longer, answered, 20))
        one_node.node.kill()
        eventually(lambda: analyze(server, "away") == 503)
        eventually(lambda: status(f"{server.health_url}/readyz") == 503)
        assert status(f"{server.health_url}/livez") == 200
        one_node.node.start()
        one_node.node.wait_until_it_answers()
        before = len(answered)
        eventually(partial(is_longer, answered, before + 20))
        eventually(lambda: status(f"{server.health_url}/readyz") == 200)
        assert server.process.poll() is None

    found = keys(stream.read(stream.topics.verdicts))
    assert answered <= found.keys()
    assert all(found[token] == 1 for token in answered)
    assert keys(stream.read(stream.topics.flags)) == found


def test_published_after_the_answer_it_answers_through_an_outage(
    one_node: Cluster, tmp_path: Path
) -> None:
    """Nothing is lost but by a kill, and all is there by the time it has ended."""
    one_node.start()
    stream = one_node.stream("api-answers-first", 3, tmp_path).create()
    # A broker that is slow to start must not outlast the transaction that it was killed in.
    after = {
        "TIDEGATE_API__PUBLISH": "after-answer",
        "TIDEGATE_PUBLISH__TRANSACTION_TIMEOUT_S": 60,
    }
    with serving(stream, tmp_path, after) as server:
        with many_ask(server) as answered:
            eventually(partial(is_longer, answered, 20))
            one_node.node.kill()
            before = len(answered)
            eventually(partial(is_longer, answered, before + 20))
            assert status(f"{server.health_url}/readyz") == 200
            one_node.node.start()
            one_node.node.wait_until_it_answers()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0

    assert keys(stream.read(stream.topics.verdicts)) == Counter(answered)


def test_a_signal_lets_it_answer_and_publish_what_it_took(stream: Stream, serve: Serve) -> None:
    """The status is 0, and what was answered is there."""
    with serve() as server:
        with many_ask(server) as answered:
            eventually(partial(is_longer, answered, 20))
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(60) == 0
        assert answered <= keys(stream.read(stream.topics.verdicts)).keys()


def test_a_second_server_of_the_same_slot_is_named_as_the_trouble(serve: Serve) -> None:
    """They fence one another; whoever does not know what became of its transaction ends."""
    with serve() as first, serve() as second:
        both = (first, second)
        with many_ask(first), many_ask(second):
            eventually(lambda: any(server.process.poll() is not None for server in both))
        (ended,) = [server for server in both if server.process.poll() is not None]
        assert "TIDEGATE_SLOT" in ended.said


def test_topics_that_are_missing_are_said_at_start(serve: Serve) -> None:
    """Before the model loads."""
    with (
        pytest.raises(AssertionError, match="topic nowhere does not exist"),
        serve(TIDEGATE_TOPICS__FEEDBACK="nowhere"),
    ):
        pass
