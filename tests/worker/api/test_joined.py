"""The API joined to the stream: what is published of a request, and when it is answered."""

import json
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any, Final

import pytest
from confluent_kafka import KafkaError

from rig.asked import Answered, asked
from rig.fake_cluster import FakeCluster, Sent, abortable, fatal
from rig.stream import eventually
from schemas.errors import ClusterError
from schemas.feedback import Feedback
from schemas.verdict import Flag, Verdict
from worker.api.application import ANALYZE, SUGGEST, Application

TEXT: Final = "You are stupid, number 26."  # the stub flags it
GERMAN: Final = "Das ist ein schlechter Kommentar von jemandem, der nichts gelesen hat."
TOPICS: Final = ["verdicts", "flags"]

Make = Callable[..., Application]


@pytest.fixture
def cluster() -> FakeCluster:
    """Give a cluster on which nothing fails yet."""
    return FakeCluster()


@pytest.fixture
def hung(cluster: FakeCluster) -> Iterator[Event]:
    """Give an event for which every commit waits, set at the end at the latest."""
    found = Event()
    cluster.gate = lambda call: call != "commit" or found.wait(60)
    yield found
    found.set()


@pytest.fixture
def app(make: Make, cluster: FakeCluster) -> Application:
    """Give an application that is joined to it."""
    return make(cluster=cluster)


def analyze(app: Application, text: str = TEXT, **more: Any) -> Answered:
    """Ask for an analysis."""
    return asked(
        app, ANALYZE, {"comment": {"text": text}, "requestedAttributes": {"TOXICITY": {}}} | more
    )


def suggest(app: Application, scores: dict[str, Any], **more: Any) -> Answered:
    """Say what a moderator decided."""
    found = {name: {"summaryScore": {"value": value}} for name, value in scores.items()}
    return asked(app, SUGGEST, {"comment": {"text": TEXT}, "attributeScores": found} | more)


def bodies(cluster: FakeCluster, topic: str) -> list[dict[str, Any]]:
    """Return what was committed on a topic."""
    return [json.loads(sent.value or b"") for sent in cluster.committed if sent.topic == topic]


def headers(sent: Sent) -> dict[str, bytes | None]:
    """Return a message's headers."""
    return dict(sent.headers)


def how_many_were_judged(app: Application) -> list[str]:
    """Return the lines of that figure."""
    lines = app.state.figures.render().decode().splitlines()
    return [line for line in lines if line.startswith("tidegate_api_comments_total")]


# -- verdicts and flags


def test_an_analysed_comment_becomes_a_verdict_and_a_flag(
    app: Application, cluster: FakeCluster
) -> None:
    """Keyed by its token, in one transaction, as a worker publishes them; it stood on no topic."""
    answer = analyze(app, clientToken="comment:7", communityId="Coral:main").json

    assert cluster.calls == ["new", "init", "begin", "produce", "produce", "commit"]
    assert [(s.topic, s.key) for s in cluster.committed] == [(t, b"comment:7") for t in TOPICS]
    (verdict,), (flag,) = bodies(cluster, "verdicts"), bodies(cluster, "flags")
    Verdict.model_validate(verdict)
    Flag.model_validate(flag)
    assert verdict == flag
    assert (verdict["comment_id"], verdict["community"]) == ("comment:7", "Coral:main")
    assert verdict["source"] is None
    toxicity = answer["attributeScores"]["TOXICITY"]["summaryScore"]["value"]
    assert verdict["scores"]["toxic"] == toxicity
    assert headers(cluster.committed[0])["ce_type"] == b"tidegate.verdict.v1"
    assert headers(cluster.committed[0])["ce_id"] == verdict["verdict_id"].encode()
    assert TEXT not in json.dumps(verdict)


def test_no_two_verdicts_share_an_id(make: Make, cluster: FakeCluster) -> None:
    """Not of one comment analysed twice, and not of two processes."""
    for app in (make(cluster=cluster), make(cluster=cluster)):
        for _ in range(3):
            analyze(app, clientToken="again")

    assert len({verdict["verdict_id"] for verdict in bodies(cluster, "verdicts")}) == 6


def test_a_comment_without_a_name_gets_one(app: Application, cluster: FakeCluster) -> None:
    """Nobody can join its verdict to anything, yet it counts."""
    analyze(app)
    asked(app, "/v1/score", {"text": TEXT})

    names = [verdict["comment_id"] for verdict in bodies(cluster, "verdicts")]
    assert len(set(names)) == 2
    assert all(name.startswith("api-") for name in names)


def test_what_may_not_be_stored_leaves_nothing(app: Application, cluster: FakeCluster) -> None:
    """No verdict, no flag, no feedback; the answers are the same."""
    kept: dict[str, Any] = {"clientToken": "c", "doNotStore": True}
    codes = [
        analyze(app, **kept).code,
        suggest(app, {"TOXICITY": 1}, **kept).code,
        asked(app, "/v1/score", {"text": TEXT, "id": "c", "do_not_store": True}).code,
        asked(app, "/v1/score", {"text": TEXT, "id": "c", "doNotStore": True}).code,
    ]

    assert (codes, cluster.committed) == ([200] * 4, [])


def test_sentences_are_scored_and_only_the_comment_published(
    app: Application, cluster: FakeCluster
) -> None:
    """A span is no comment."""
    analyze(app, f"{TEXT} Thank you. {TEXT}!", spanAnnotations=True, clientToken="c")

    assert [v["comment_id"] for v in bodies(cluster, "verdicts")] == ["c"]


def test_comments_of_a_request_are_one_transaction(app: Application, cluster: FakeCluster) -> None:
    """All of them or none, in their order; one that may not be stored is left out."""
    comments = [{"id": f"c{n}", "text": f"{TEXT} {n}", "do_not_store": n == 2} for n in range(5)]

    answer = asked(app, "/v1/score", {"comments": comments})

    assert len(answer.json["results"]) == 5
    assert cluster.called("commit") == 1
    assert [v["comment_id"] for v in bodies(cluster, "verdicts")] == ["c0", "c1", "c3", "c4"]


def test_json_lines_are_published_before_they_are_answered(
    app: Application, cluster: FakeCluster
) -> None:
    """A bad line costs that line alone."""
    lines = [b'{"id": "c1", "text": "fine"}', b"{broken", b'{"id": "c2", "text": "fine"}']
    asked(app, "/v1/score", b"\n".join(lines), headers={"content-type": "application/jsonl"})

    assert [v["comment_id"] for v in bodies(cluster, "verdicts")] == ["c1", "c2"]


@pytest.mark.parametrize(
    ("path", "body", "content"),
    [
        (ANALYZE, {"comment": {"text": TEXT}, "requestedAttributes": {"TOXICITY": {}}}, "json"),
        (
            SUGGEST,
            {"comment": {"text": TEXT}, "attributeScores": {"TOXICITY": {"summaryScore": {}}}},
            "json",
        ),
        ("/v1/score", {"text": TEXT}, "json"),
        ("/v1/score", [b'{"text": "fine"}\n'], "jsonl"),
    ],
)
def test_a_requests_trace_goes_with_all_that_is_published_of_it(
    path: str, body: Any, content: str, app: Application, cluster: FakeCluster
) -> None:
    """As a worker passes a comment's on; what is larger than the standard allows is no trace."""
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    sent = {"content-type": f"application/{content}", "tracestate": "a=" + "b" * 600, **trace}

    asked(app, path, body, headers=sent)

    assert cluster.committed
    for message in cluster.committed:
        assert headers(message)["traceparent"] == trace["traceparent"].encode()
        assert "tracestate" not in headers(message)


@pytest.mark.parametrize("call", ["score", "analyze"])
def test_a_comment_in_a_language_that_is_held_is_flagged_for_a_person(
    call: str, make: Make, cluster: FakeCluster
) -> None:
    """As a worker holds what it cannot judge; what is refused is the client's again.

    Perspective has no word for it: the client of `analyze` hears of an error either way.
    """
    app = make(cluster=cluster, other_languages="hold", other_languages_in={"no": "refuse"})

    if call == "score":
        asked(app, "/v1/score", {"text": GERMAN, "id": "held"})
        asked(app, "/v1/score", {"text": GERMAN, "id": "refused", "community": "no"})
    else:
        assert analyze(app, GERMAN, clientToken="held").code == 400
        assert analyze(app, GERMAN, clientToken="refused", communityId="no").code == 400

    assert [sent.topic for sent in cluster.committed] == TOPICS
    for model, topic in ((Verdict, "verdicts"), (Flag, "flags")):
        (found,) = bodies(cluster, topic)
        model.model_validate(found)
        assert (found["comment_id"], found["status"]) == ("held", "held")
        assert found["reason"] == "language_not_supported"


@pytest.mark.parametrize("name", ["clientToken", "id"])
def test_a_name_that_is_no_key_is_refused(
    name: str, app: Application, cluster: FakeCluster
) -> None:
    """A key is at most 256 characters; the field is named."""
    body = {"text": TEXT, "id": "x" * 257}
    answer = asked(app, "/v1/score", body) if name == "id" else analyze(app, clientToken="x" * 257)

    assert (answer.code, cluster.committed) == (400, [])
    assert name in answer.error["message"]


def test_half_a_surrogate_pair_in_a_name_is_repaired(
    app: Application, cluster: FakeCluster
) -> None:
    """JavaScript cuts emoji in half."""
    body = b'{"text": "fine", "id": "a\\ud83d"}'

    assert asked(app, "/v1/score", body).code == 200
    assert [sent.key for sent in cluster.committed] == ["a\N{REPLACEMENT CHARACTER}".encode()]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (ANALYZE, {"fields": "("}),
        (ANALYZE, {"fields": "scores"}),
        (ANALYZE, {"scale": "fahrenheit"}),
        (SUGGEST, {"fields": "nothing"}),
        ("/v1/score", {"scale": "fahrenheit"}),
    ],
)
def test_of_a_request_that_is_refused_nothing_is_published(
    path: str, query: dict[str, str], app: Application, cluster: FakeCluster
) -> None:
    """Its client mends it and asks again."""
    body = {"text": TEXT, "comment": {"text": TEXT}, "requestedAttributes": {"TOXICITY": {}}}
    scores = {"attributeScores": {"TOXICITY": {"summaryScore": {"value": 1}}}}

    assert asked(app, path, body | scores, query=query).code == 400
    assert cluster.committed == []


# -- feedback


def test_a_suggestion_becomes_feedback(app: Application, cluster: FakeCluster) -> None:
    """With its text, to learn from; labels under our names, what has none under its own."""
    scores = {"TOXICITY": 1, "IDENTITY_ATTACK@2": 0.5, "SPAM": 0}

    suggest(app, scores, clientToken="comment:7", communityId="Coral:main")

    (sent,) = cluster.committed
    (found,) = bodies(cluster, "feedback")
    Feedback.model_validate(found)
    assert (sent.topic, sent.key) == ("feedback", b"comment:7")
    assert headers(sent)["ce_type"] == b"tidegate.feedback.v1"
    assert found["labels"] == {"toxic": 1, "identity_hate": 0.5, "spam": 0}
    assert (found["community"], found["text"], found["action"]) == ("Coral:main", TEXT, None)


@pytest.mark.parametrize(("name", "action"), [("APPROVED", "allow"), ("DELETED", "remove")])
def test_what_older_corals_say_is_an_action(
    name: str, action: str, app: Application, cluster: FakeCluster
) -> None:
    """They say what was done, and no label."""
    suggest(app, {name: 1}, clientToken="c")

    (found,) = bodies(cluster, "feedback")
    assert (found["labels"], found["action"]) == ({}, action)


def test_the_highest_part_speaks_for_a_comment_of_which_only_parts_were_scored(
    app: Application, cluster: FakeCluster
) -> None:
    """As when we judge a long one."""
    parts = [{"begin": 0, "end": 3, "score": {"value": v}} for v in (0.1, 0.9, 0.3)]
    body = {"comment": {"text": TEXT}, "attributeScores": {"TOXICITY": {"spanScores": parts}}}

    assert asked(app, SUGGEST, body).code == 200

    (found,) = bodies(cluster, "feedback")
    assert found["labels"] == {"toxic": 0.9}


@pytest.mark.parametrize("value", [-0.1, 1.1, 1e300])
def test_a_score_that_is_no_probability_is_refused(
    value: float, app: Application, cluster: FakeCluster
) -> None:
    """The attribute is named."""
    answer = suggest(app, {"TOXICITY": value})

    assert (answer.code, cluster.committed) == (400, [])
    assert "TOXICITY" in answer.error["message"]


# -- when the cluster is not well


def test_an_aborted_transaction_is_published_again_before_the_answer(
    app: Application, cluster: FakeCluster
) -> None:
    """From memory, once."""
    cluster.will_fail("commit", abortable())

    assert analyze(app, clientToken="c").code == 200

    assert [sent.topic for sent in cluster.committed] == TOPICS
    assert cluster.called("new") == 2  # rebuilt after an abort


def test_a_request_that_is_not_published_in_time_is_answered_503(
    make: Make, cluster: FakeCluster, hung: Event
) -> None:
    """200 would say that it is there."""
    app = make(cluster=cluster, deadline_s=0.5)

    answer = analyze(app, clientToken="c")

    assert (answer.code, answer.headers["retry-after"]) == (503, "1")
    assert (cluster.committed, hung.is_set()) == ([], False)


def test_while_nothing_can_be_published_requests_are_refused_before_they_are_scored(
    make: Make, cluster: FakeCluster, hung: Event
) -> None:
    """Those that publish nothing are answered all the same; afterwards all is as before."""
    app = make(cluster=cluster, deadline_s=2)
    for name in ("first", "second"):  # this one may still be scored, and then waits in vain
        assert analyze(app, clientToken=name).code == 503
    judged = how_many_were_judged(app)

    refused = [analyze(app, clientToken="third").code, suggest(app, {"TOXICITY": 1}).code]

    assert (refused, judged) == ([503, 503], how_many_were_judged(app))
    assert analyze(app, doNotStore=True).code == 200
    hung.set()
    eventually(lambda: analyze(app, clientToken="last").code == 200)
    assert [v["comment_id"] for v in bodies(cluster, "verdicts")] == ["first", "last"]


def test_published_after_the_answer_nobody_waits_for_the_cluster(
    make: Make, cluster: FakeCluster, hung: Event
) -> None:
    """What was answered is kept, and published when the cluster is back."""
    app = make(cluster=cluster, publish="after-answer")

    names = [f"c{n}" for n in range(5)]
    codes = [analyze(app, clientToken=name).code for name in names]
    codes.append(suggest(app, {"TOXICITY": 1}, clientToken="c").code)

    assert (codes, cluster.committed) == ([200] * 6, [])
    hung.set()
    eventually(lambda: bool(bodies(cluster, "feedback")))
    assert [v["comment_id"] for v in bodies(cluster, "verdicts")] == names


def test_what_is_kept_is_bounded(
    make: Make, cluster: FakeCluster, hung: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the bound requests are refused before they are scored: nothing is dropped."""
    monkeypatch.setattr("worker.api.publisher.MOST_KEPT", 3)
    app = make(cluster=cluster, publish="after-answer")

    codes = [analyze(app, clientToken=f"c{n}").code for n in range(8)]

    answered = codes.index(503)
    assert codes == [200] * answered + [503] * (8 - answered)
    hung.set()
    eventually(lambda: len(bodies(cluster, "verdicts")) == answered)


def test_what_the_broker_refuses_costs_that_request_alone(
    app: Application, cluster: FakeCluster
) -> None:
    """It would be refused again, for ever."""
    cluster.refuses = lambda sent: KafkaError.INVALID_RECORD if sent.key == b"bad" else None

    answer = analyze(app, clientToken="bad")

    assert (answer.code, answer.error["status"]) == (500, "INTERNAL")
    assert "INVALID_RECORD" in answer.error["message"]
    assert analyze(app, clientToken="good").code == 200
    assert {sent.key for sent in cluster.committed} == {b"good"}


def test_an_unknown_outcome_ends_the_process(make: Make, cluster: FakeCluster) -> None:
    """Publishing again might double it; whoever asked was never told 200."""
    app = make(cluster=cluster, deadline_s=0.5)
    cluster.will_fail("commit", fatal())

    assert analyze(app, clientToken="c").code == 503
    eventually(lambda: bool(cluster.failures))
    (failure,) = cluster.failures
    assert isinstance(failure, ClusterError)
    assert "unknown" in str(failure)
    assert analyze(app, clientToken="d").code == 503
