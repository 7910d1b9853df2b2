"""The calls: Perspective's fields, errors and parameters, and our own, over a stub that hashes."""

import asyncio
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
from starlette.responses import Response
from starlette.types import Scope

import worker.api.bounded_body
from rig.asked import Answered, asked, scope_of
from rig.stub import stub_manifest, stub_scores
from schemas.errors import SettingsError
from schemas.labels import LABELS
from worker.api.api import Api, refuse_scale
from worker.api.application import ANALYZE, SUGGEST, Application
from worker.api.connection import AnswersAtOnce
from worker.api.desk import Desk
from worker.api.errors import ApiError
from worker.api.language import LanguageDetector
from worker.api.pace import Pace

TEXT: Final = "What a stupid thing to say, nobody here likes you at all."
GERMAN: Final = "Das ist ein schlechter Kommentar von jemandem, der nichts gelesen hat."

LINES: Final = "Application/JSONL; charset=utf-8"

Make = Callable[..., Application]


def analyze(app: Application, text: str = TEXT, /, **more: Any) -> Answered:
    """Ask for an analysis."""
    query, headers = more.pop("query", None), more.pop("headers", None)
    body = {"comment": {"text": text}, "requestedAttributes": {"TOXICITY": {}}} | more
    return asked(app, ANALYZE, body, query=query, headers=headers)


def at_once(app: Application, scope: Scope) -> Response | None:
    """Return what is answered before a task is begun, in a loop as a connection is."""

    async def connection() -> Response | None:
        return app.at_once(scope)

    return asyncio.run(connection())


def score_of(text: str, label: str = "toxic") -> float:
    """Return the stub's score."""
    return stub_scores(text)[LABELS.index(label)]


def figures_of(app: Application) -> list[str]:
    """Return what Prometheus would read, line by line."""
    rendered: bytes = app.state.figures.render()
    return rendered.decode().splitlines()


# -- analyze


def test_an_analysis_has_what_perspectives_clients_read(make: Make) -> None:
    """A summary, one span of the whole text in UTF-16, languages, and the token."""
    text = TEXT + " 😀"

    answered = analyze(make(), text, clientToken="comment:1", languages=["en"])

    score = {"value": score_of(text), "type": "PROBABILITY"}
    assert answered.code == 200
    assert answered.json == {
        "attributeScores": {
            "TOXICITY": {
                "spanScores": [{"begin": 0, "end": len(TEXT) + 3, "score": score}],
                "summaryScore": score,
            }
        },
        "languages": ["en"],
        "detectedLanguages": ["en"],
        "clientToken": "comment:1",
    }
    assert answered.headers["x-tidegate-model"].startswith("stub/")
    assert answered.headers["x-tidegate-policy"].startswith("bundle-")


def test_every_attribute_has_the_score_of_its_label(make: Make) -> None:
    """Each under the name that was asked for."""
    names = {
        "TOXICITY@6": "toxic",
        "SEVERE_TOXICITY": "severe_toxic",
        "PROFANITY": "obscene",
        "OBSCENE": "obscene",
        "THREAT": "threat",
        "INSULT_EXPERIMENTAL": "insult",
        "IDENTITY_ATTACK": "identity_hate",
    }

    found = analyze(make(), requestedAttributes={name: {} for name in names}).json[
        "attributeScores"
    ]

    assert {name: scores["summaryScore"]["value"] for name, scores in found.items()} == {
        name: score_of(TEXT, label) for name, label in names.items()
    }


def test_spans_are_sentences_with_scores_of_their_own(make: Make) -> None:
    """Where they are asked for."""
    text = "😀 First. Second one!\nThird"

    found = analyze(make(), text, spanAnnotations=True).json["attributeScores"]["TOXICITY"]

    assert [(span["begin"], span["end"]) for span in found["spanScores"]] == [
        (0, 9),
        (10, 21),
        (22, 27),
    ]
    assert [span["score"]["value"] for span in found["spanScores"]] == [
        score_of(part) for part in ("😀 First.", "Second one!", "Third")
    ]
    assert found["summaryScore"]["value"] == score_of(text)


def test_an_attribute_under_its_threshold_is_left_out(make: Make) -> None:
    """And without any there are no scores at all, as protobuf writes nothing for nothing."""
    attributes = {"TOXICITY": {"scoreThreshold": 1}, "INSULT": {"scoreThreshold": 0}}

    answered = analyze(make(), requestedAttributes=attributes).json

    assert list(answered["attributeScores"]) == ["INSULT"]
    only = {"TOXICITY": {"scoreThreshold": 1}}
    assert "attributeScores" not in analyze(make(), requestedAttributes=only).json


@pytest.mark.parametrize(
    ("body", "error_type", "message"),
    [
        ({"comment": {"text": ""}}, "COMMENT_EMPTY", "Comment must be non-empty."),
        ({"comment": {"text": " \n"}}, "COMMENT_EMPTY", "Comment must be non-empty."),
        ({"comment": {}}, "COMMENT_EMPTY", "Comment must be non-empty."),
        (
            {"comment": {"text": "ä" * 10_241}},
            "COMMENT_TOO_LONG",
            "Comment text was too many bytes. Value (20482) exceeded limit (20480).",
        ),
        (
            {"requestedAttributes": {}},
            "NO_REQUESTED_ATTRIBUTES",
            "Missing requested_attributes",
        ),
        (
            {"requestedAttributes": {"FLIRTATION": {}}},
            "INVALID_REQUEST",
            "Unknown requested attribute: FLIRTATION; known are: TOXICITY, SEVERE_TOXICITY",
        ),
        (
            {"requestedAttributes": {f"TOXICITY@{number}": {} for number in range(101)}},
            "INVALID_REQUEST",
            "101 requested attributes, at most 100 are allowed",
        ),
        (
            {"requestedAttributes": {"TOXICITY": {"scoreType": "PERCENTILE"}}},
            "INVALID_REQUEST",
            "Requested score type PERCENTILE is not supported by attribute TOXICITY",
        ),
        (
            {"comment": {"text": TEXT, "type": "MARKDOWN"}},
            "INVALID_REQUEST",
            "Unknown text type",
        ),
        (
            {
                "context": {
                    "entries": [{"text": "a"}],
                    "articleAndParentComment": {"article": {"text": "b"}},
                }
            },
            "INVALID_REQUEST",
            "Context can have either entries or article_and_parent_comment",
        ),
    ],
)
def test_what_perspective_refused_is_refused_in_its_words(
    body: dict[str, Any], error_type: str, message: str, make: Make
) -> None:
    """Clients match on status, error type and words."""
    answered = analyze(make(), **body)

    assert answered.code == answered.error["code"] == 400
    assert answered.error["status"] == "INVALID_ARGUMENT"
    assert answered.error["message"].startswith(message)
    (detail,) = answered.error["details"]
    assert detail["errorType"] == error_type
    assert detail["@type"].endswith("google.commentanalyzer.v1alpha1.Error")


@pytest.mark.parametrize("kind", ["PLAIN_TEXT", "TEXT_TYPE_UNSPECIFIED", None])
def test_a_plain_text_is_judged_as_it_is(kind: str | None, make: Make) -> None:
    """It may have signs that HTML gives a meaning."""
    text = "a <b and &lt; c"

    found = analyze(make(), comment={"text": text, "type": kind}).json["attributeScores"]

    assert found["TOXICITY"]["summaryScore"]["value"] == score_of(text)


def test_of_html_what_its_reader_sees_is_judged(make: Make) -> None:
    """Spans are places in the text as it was sent."""
    html = '<p class="a fool">You 😀 <i>id</i>&#105;ot. Tea &amp; cake?</p><br>'

    answered = analyze(make(), comment={"text": html, "type": "HTML"}, spanAnnotations=True)

    found = answered.json["attributeScores"]["TOXICITY"]
    begin, middle = html.index("You"), html.index("Tea")
    assert [(span["begin"], span["end"]) for span in found["spanScores"]] == [
        (begin, middle),  # one unit more than characters before `Tea`, one blank less
        (middle + 1, html.index("?") + 2),
    ]
    assert [span["score"]["value"] for span in found["spanScores"]] == [
        score_of("You 😀 idiot."),
        score_of("Tea & cake?"),
    ]
    empty = analyze(make(), comment={"text": "<p> <br></p>", "type": "HTML"})
    assert empty.error["details"][0]["errorType"] == "COMMENT_EMPTY"


def test_every_attribute_without_a_model_is_named(make: Make) -> None:
    """Or a client would find them one after the other."""
    attributes: dict[str, Any] = {"SPAM": {}, "TOXICITY": {}, "FLIRTATION": {}}

    message = analyze(make(), requestedAttributes=attributes).error["message"]

    assert message.startswith("Unknown requested attribute: SPAM, FLIRTATION; known are: ")


@pytest.mark.parametrize(("s_a_byte", "expected"), [(1e-3, 50), (1.5e-3, 25), (5e-3, 1)])
def test_a_long_comment_has_as_many_spans_as_there_is_time_for(
    s_a_byte: float, expected: int, make: Make
) -> None:
    """The last one has the rest; a lone comment is never refused for what it would take."""
    text = "One more of these sentences stands here. " * 60
    pace = Pace(1_024, s_a_byte)

    answered = analyze(make(pace=pace, deadline_s=20), text, spanAnnotations=True)

    found = answered.json["attributeScores"]["TOXICITY"]["spanScores"]
    assert (len(found), found[-1]["end"]) == (expected, len(text) - 1)


@pytest.mark.parametrize(
    ("settings", "body"),
    [({"unknown_attributes": "leave_out"}, {}), ({}, {"dropUnsupportedAttributes": True})],
)
def test_what_has_no_model_here_is_left_out_if_that_is_wanted(
    settings: dict[str, Any], body: dict[str, Any], make: Make
) -> None:
    """By the operator, or by the request."""
    attributes: dict[str, Any] = {"TOXICITY": {}, "FLIRTATION": {}, "SPAM": {}}

    answered = analyze(make(**settings), requestedAttributes=attributes, **body)

    assert list(answered.json["attributeScores"]) == ["TOXICITY"]


def test_only_the_fields_that_are_asked_for_are_sent(make: Make) -> None:
    """`fields`; other parameters of Google's make no difference."""
    query = {
        "fields": "attributeScores/TOXICITY/summaryScore/value",
        "alt": "json",
        "prettyPrint": "true",
        "quotaUser": "me",
        "$.xgafv": "2",
    }

    answered = analyze(make(), query=query)

    value = {"summaryScore": {"value": score_of(TEXT)}}
    assert answered.json == {"attributeScores": {"TOXICITY": value}}
    for wrong in ("(", "scores"):
        assert analyze(make(), query={"fields": wrong}).code == 400


def test_scores_are_on_the_scale_that_is_set_or_asked_for(make: Make) -> None:
    """By a map of the bundle's; `bundle` is its own."""

    def value(app: Application, **query: str) -> float:
        found = analyze(app, query=query).json["attributeScores"]["TOXICITY"]["summaryScore"]
        return float(found["value"])

    own, half = score_of(TEXT), pytest.approx(score_of(TEXT) / 2)
    assert value(make()) == value(make(scale="perspective"), scale="bundle") == own
    assert value(make(scale="perspective")) == value(make(), scale="perspective") == half
    refused = analyze(make(), query={"scale": "fahrenheit"})
    assert (refused.code, refused.error["message"]) == (
        400,
        "Unknown scale; known are: bundle, perspective",
    )
    with pytest.raises(SettingsError, match="TIDEGATE_API__SCALE is fahrenheit"):
        refuse_scale("fahrenheit", stub_manifest())


# -- languages


@pytest.mark.parametrize("settings", [{}, {"other_languages": "refuse"}])
@pytest.mark.parametrize("text", ["lol ok", "u suk", "kys noob", TEXT])
def test_english_is_judged_however_short(text: str, settings: dict[str, Any], make: Make) -> None:
    """Perspective took such comments for Italian, Turkish or Zulu."""
    assert analyze(make(**settings), text).code == 200


@pytest.mark.parametrize("body", [{}, {"languages": ["de"]}, {"languages": ["en", "de-AT"]}])
def test_another_language_is_judged_unless_the_operator_refuses_it(
    body: dict[str, Any], make: Make
) -> None:
    """Detected or given; what was detected is said."""
    judged = analyze(make(), GERMAN, **body)
    assert (judged.code, judged.json["detectedLanguages"]) == (200, ["de"])

    for treatment in ("refuse", "hold"):  # it has no word for `held`
        refused = analyze(make(other_languages=treatment), GERMAN, **body)
        assert refused.code == 400
        assert "Attribute TOXICITY does not support request languages: " in refused.error["message"]
        (detail,) = refused.error["details"]
        assert detail["errorType"] == "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"
        assert detail["languageNotSupportedByAttributeError"]["attribute"] == "TOXICITY"


@pytest.mark.parametrize("languages", [[], [""], [" en"], ["", "EN"]])
def test_a_language_that_says_nothing_else_is_judged(languages: list[str], make: Make) -> None:
    """Nobody meant another language by it."""
    assert analyze(make(other_languages="refuse"), languages=languages).code == 200


def test_a_language_error_names_an_attribute_that_has_a_model(make: Make) -> None:
    """What was left out is not asked for again."""
    app = make(other_languages="refuse", unknown_attributes="leave_out")

    refused = analyze(app, GERMAN, requestedAttributes={"SPAM": {}, "INSULT": {}})

    assert refused.error["message"].startswith("Attribute INSULT does not support")


def test_a_community_may_have_its_own_rule_for_languages(make: Make) -> None:
    """It is known by its id."""
    app = make(other_languages="refuse", other_languages_in={"berlin": "judge"})

    assert analyze(app, GERMAN, communityId="berlin").code == 200
    assert analyze(app, GERMAN, communityId="paris").code == 400


# -- suggestscore


@pytest.mark.parametrize("attribute", ["TOXICITY", "APPROVED", "DELETED"])
def test_a_suggestion_is_answered(attribute: str, make: Make) -> None:
    """As Coral sends it when a moderator has decided; old ones name what was decided."""
    body = {
        "comment": {"text": TEXT},
        "context": {"entries": [{"text": '{"Coral_comment_id":"4711"}'}]},
        "attributeScores": {attribute: {"summaryScore": {"value": 1}}},
        "languages": ["en"],
        "communityId": "Coral:example.com",
        "clientToken": "comment:4711",
    }

    answered = asked(make(), SUGGEST, body)

    assert answered.code == 200
    assert answered.json == {
        "clientToken": "comment:4711",
        "requestedLanguages": ["en"],
        "detectedLanguages": ["en"],
    }


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({}, "Missing attribute_scores"),
        ({"TOXICITY": {}}, "Missing summary_score for attribute: TOXICITY"),
        ({"": {"summaryScore": {"value": 1}}}, "Unknown attribute: "),
        (
            {"TOXICITY": {"summaryScore": {"value": 0.9, "type": "PERCENTILE"}}},
            "Score type of attribute TOXICITY is not supported",
        ),
        (
            {"TOXICITY": {"spanScores": [{"score": {"value": x}} for x in (1, "NaN")]}},
            "Score of attribute TOXICITY must be between 0 and 1",
        ),
        (
            {
                "TOXICITY": {"summaryScore": {"value": 1}},
                "TOXICITY_EXPERIMENTAL": {"summaryScore": {}},
            },
            "Attribute TOXICITY_EXPERIMENTAL has two scores under two names",
        ),
    ],
)
def test_a_suggestion_that_is_no_score_of_a_label_is_refused(
    scores: dict[str, Any], message: str, make: Make
) -> None:
    """There would be nothing to learn from it."""
    answered = asked(make(), SUGGEST, {"comment": {"text": TEXT}, "attributeScores": scores})

    assert (answered.code, answered.error["status"]) == (400, "INVALID_ARGUMENT")
    assert answered.error["message"].startswith(message)


# -- our own


def test_one_comment_is_scored_with_all_that_is_said_of_it(make: Make) -> None:
    """All labels, policy and action, pieces, model and policy."""
    answered = asked(make(), "/v1/score", {"text": TEXT, "id": "c1"}).json

    (result,) = answered["results"]
    assert result["scores"] == dict(zip(LABELS, stub_scores(TEXT), strict=True))
    assert result["labels"] == [label for label in LABELS if score_of(TEXT, label) >= 0.5]
    assert (result["id"], result["status"], result["language"]) == ("c1", "scored", "en")
    assert (result["pieces"], result["truncated"]) == (1, False)
    assert answered["model"]["name"] == "stub"
    assert answered["policy"].startswith("bundle-")
    assert answered["scale"] is None


def test_many_comments_keep_their_order(make: Make) -> None:
    """Up to a bound; for more there are JSON Lines."""
    comments = [{"text": f"comment {n}", "id": str(n)} for n in range(10)]

    results = asked(make(), "/v1/score", {"comments": comments}).json["results"]

    assert [r["scores"]["toxic"] for r in results] == [score_of(f"comment {n}") for n in range(10)]
    refused = asked(make(comments=9), "/v1/score", {"comments": comments})
    assert (refused.code, refused.error["message"]) == (
        400,
        "10 comments, at most 9 are allowed; or send JSON Lines",
    )


@pytest.mark.parametrize("body", [{}, {"text": "a", "comments": [{"text": "b"}]}])
def test_it_is_either_a_text_or_comments(body: dict[str, Any], make: Make) -> None:
    """Both, or none, is a mistake of the caller's."""
    answered = asked(make(), "/v1/score", body)

    assert answered.code == 400
    assert "expected either text or comments" in answered.error["message"]


@pytest.mark.parametrize("treatment", ["hold", "refuse"])
def test_a_comment_that_nobody_judged_is_for_a_person(treatment: str, make: Make) -> None:
    """It fails closed; the comment's neighbours are judged."""
    app = make(other_languages=treatment)
    comments = [{"text": GERMAN}, {"text": TEXT}, {"text": "kurz", "language": "de"}]

    results = asked(app, "/v1/score", {"comments": comments}).json["results"]

    status = {"hold": "held", "refuse": "refused"}[treatment]
    assert [r["status"] for r in results] == [status, "scored", status]
    reasons = ["language_not_supported", None, "language_not_supported"]
    assert [r["reason"] for r in results] == reasons
    assert (results[0]["action"], results[0]["scores"]) == ("review", {})
    assert results[1]["scores"]["toxic"] == score_of(TEXT)


def test_json_lines_are_answered_line_by_line(make: Make) -> None:
    """A line that is wrong is named by its number and stops nothing; parts may end anywhere."""
    lines = b'{"text": "a", "id": "1"}\n\nnonsense\n{"id": "2"}\n{"text": "b"}'
    parts = [lines[n : n + 7] for n in range(0, len(lines), 7)]

    answered = asked(make(), "/v1/score", parts, headers={"content-type": "application/jsonl"})

    results = [line for line in answered.body.splitlines() if line]
    assert answered.headers["content-type"].startswith("application/jsonl")
    first, third, fourth, fifth = (json.loads(line) for line in results)
    assert [found["line"] for found in (first, third, fourth, fifth)] == [1, 3, 4, 5]
    assert (first["id"], first["scores"]["toxic"]) == ("1", score_of("a"))
    assert (third["line"], third["error"]["message"]) == (3, "Invalid JSON payload received.")
    assert (fourth["line"], fourth["error"]["code"]) == (4, 400)
    assert fifth["scores"]["toxic"] == score_of("b")


def test_a_line_over_the_bound_is_refused_and_the_next_one_read(make: Make) -> None:
    """However it arrives, it is never kept as a whole."""
    long = b'{"text": "' + b"x" * 5_000 + b'"}\n'
    parts = [long[n : n + 600] for n in range(0, len(long), 600)] + [b'{"text": "b"}\n']

    answered = asked(
        make(body_bytes=1_000), "/v1/score", parts, headers={"content-type": "application/jsonl"}
    )

    first, second = (json.loads(line) for line in answered.body.splitlines())
    assert (first["line"], first["error"]["message"]) == (1, "The line is too long.")
    assert second["scores"]["toxic"] == score_of("b")


# -- around the calls


@pytest.mark.parametrize("said", [True, False])
def test_a_body_over_the_bound_is_refused_before_it_is_parsed(make: Make, *, said: bool) -> None:
    """By what it says of itself, or as it arrives."""
    headers = {"content-length": "2000"} if said else {}

    answered = asked(make(body_bytes=1_000), "/v1/score", [b"x" * 500] * 4, headers=headers)

    assert (answered.code, answered.error["message"]) == (
        413,
        "The body is larger than 1,000 bytes.",
    )


def test_a_body_that_does_not_arrive_is_not_waited_for(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never hangs; one that leaves is no error of ours."""
    monkeypatch.setattr(worker.api.bounded_body, "READ_S", 0.05)

    answered = asked(make(), ANALYZE, [b'{"comment": '], then="hangs")

    assert (answered.code, answered.error["status"]) == (408, "DEADLINE_EXCEEDED")
    assert asked(make(), ANALYZE, [b'{"comment": '], then="leaves").code == 400


def test_who_has_a_key_may_ask_however_it_is_given(make: Make, tmp_path: Path) -> None:
    """In the address, as Google's clients give it, or in a header."""
    file = tmp_path / "keys"
    file.write_text(f"site {sha256(b'wave').hexdigest()}\n")
    app = make(keys=file)

    for given in (
        {"query": {"key": "wave"}},
        {"headers": {"X-Goog-Api-Key": "wave"}},
        {"headers": {"Authorization": "Bearer wave"}},
    ):
        assert analyze(app, **given).code == 200
    for refused in (analyze(app), analyze(app, query={"key": "other"})):
        assert (refused.code, refused.error["status"]) == (403, "PERMISSION_DENIED")
        assert refused.error["details"][0]["reason"] == "API_KEY_INVALID"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/v1/score", 405), ("POST", "/nowhere", 404), ("GET", "/docs", 404)],
)
def test_an_address_that_is_none_is_said_in_the_same_form(
    method: str, path: str, code: int, make: Make
) -> None:
    """Not as a page."""
    answered = asked(make(), path, {}, method=method)

    assert (answered.code, answered.error["code"]) == (code, code)
    assert answered.headers.get("allow") == ("POST" if code == 405 else None)


@pytest.mark.parametrize("path", [ANALYZE, SUGGEST])
def test_an_endpoint_that_was_set_with_a_slash_at_its_end_is_answered(
    path: str, make: Make
) -> None:
    """Coral puts `/comments:analyze` behind it, and lets pass what is answered 404."""
    wanted: dict[str, Any] = {"requestedAttributes": {"TOXICITY": {}}}
    wanted |= {"attributeScores": {"TOXICITY": {"summaryScore": {"value": 1}}}}

    answered = asked(
        make(), path.replace("/comments", "//comments"), {"comment": {"text": TEXT}} | wanted
    )

    assert answered.code == 200


def test_the_discovery_document_has_our_own_address(make: Make) -> None:
    """Google's clients go where it sends them."""
    app = make()

    found = asked(
        app,
        "/$discovery/rest",
        method="GET",
        query={"version": "v1alpha1"},
        headers={"host": "tide.example.com"},
    ).json

    assert found["rootUrl"] == "http://tide.example.com/"
    methods = found["resources"]["comments"]["methods"]
    assert {name: method["path"] for name, method in methods.items()} == {
        "analyze": "v1alpha1/comments:analyze",
        "suggestscore": "v1alpha1/comments:suggestscore",
    }
    for method in methods.values():
        assert method["request"]["$ref"] in found["schemas"]
    assert asked(app, "/$discovery/rest", method="GET", query={"version": "v2"}).code == 404


@pytest.mark.parametrize(
    "said", ["https://example.org/moderation", "https://example.org/moderation/"]
)
def test_behind_a_proxy_both_documents_have_the_public_address(said: str, make: Make) -> None:
    """Whatever Host and path the proxy asks with: clients add a call's path to it."""
    app = make(public_url=said)
    inside = {"host": "10.0.0.5:8080"}

    discovered = asked(app, "/$discovery/rest", method="GET", headers=inside).json
    described = asked(app, "/openapi.json", method="GET", headers=inside).json

    assert discovered["rootUrl"] + discovered["servicePath"] == "https://example.org/moderation/"
    assert discovered["baseUrl"] == "https://example.org/moderation/"
    assert described["servers"] == [{"url": "https://example.org/moderation"}]


def test_every_example_of_the_openapi_document_works(make: Make) -> None:
    """Who copies one gets an answer."""
    app = make()
    document = asked(app, "/openapi.json", method="GET").json

    tried = 0
    for path, methods in document["paths"].items():
        content = methods["post"]["requestBody"]["content"]["application/json"]
        for example in content["examples"].values():
            assert asked(app, path, example["value"]).code == 200
            tried += 1
    assert tried == 5


def test_the_openapi_document_says_how_a_key_is_given(make: Make) -> None:
    """Each way by which one is taken."""
    document = asked(make(), "/openapi.json", method="GET").json

    ways = document["components"]["securitySchemes"].values()

    assert {way.get("name") or way["scheme"] for way in ways} == {"key", "X-Goog-Api-Key", "bearer"}
    for methods in document["paths"].values():
        assert {} in methods["post"]["security"]  # a server without keys lets everybody in


def test_pages_of_other_origins_may_ask_only_if_the_operator_says_so(make: Make) -> None:
    """CORS is off by default."""
    origin = {"origin": "https://forum.example.com"}

    assert "access-control-allow-origin" not in analyze(make(), headers=origin).headers
    allowed = analyze(make(cors="https://forum.example.com"), headers=origin).headers
    assert allowed["access-control-allow-origin"] == "https://forum.example.com"
    assert "Retry-After" in allowed["access-control-expose-headers"]


def test_a_key_has_its_allowance_of_comments(make: Make, tmp_path: Path) -> None:
    """429 with the time to wait, whatever the call."""
    file = tmp_path / "keys"
    file.write_text(f"site {sha256(b'wave').hexdigest()} 0.01\n")
    app, query = make(keys=file), {"key": "wave"}
    assert analyze(app, query=query).code == 200

    refused = asked(app, "/v1/score", {"text": "a"}, query=query)

    assert (refused.code, refused.error["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert 90 <= int(refused.headers["retry-after"]) <= 100


@pytest.mark.parametrize(
    ("path", "body", "query"),
    [
        (ANALYZE, {"comment": {"text": " "}}, {}),
        (ANALYZE, {"comment": {"text": TEXT}, "requestedAttributes": {"SPAM": {}}}, {}),
        (SUGGEST, {"comment": {"text": TEXT}}, {}),
        ("/v1/score", {"text": TEXT}, {"scale": "fahrenheit"}),
        ("/v1/score", {"comments": [{"text": "long " * 2_000}] * 100}, {}),
    ],
)
def test_what_is_refused_is_not_counted(
    path: str, body: dict[str, Any], query: dict[str, str], make: Make, tmp_path: Path
) -> None:
    """A request that was too large had its key wait for minutes, and none of it was judged."""
    file = tmp_path / "keys"
    file.write_text(f"site {sha256(b'wave').hexdigest()} 0.01\n")
    app, key = make(keys=file, pace=Pace(1_024, 1e-4)), {"key": "wave"}

    refused = asked(app, path, body, query=key | query)

    assert refused.code in {400, 413}
    assert analyze(app, query=key).code == 200  # the one comment that its key has


def test_lines_that_are_refused_after_all_are_not_counted(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were charged once, before they waited for their turn."""

    async def refused(*_: object, **__: object) -> None:
        raise ApiError(413, "too much")

    file = tmp_path / "keys"
    file.write_text(f"site {sha256(b'wave').hexdigest()} 0.01\n")
    app, key = make(keys=file), {"key": "wave"}
    monkeypatch.setattr(Api, "score", refused)
    lines = {"content-type": "application/jsonl"}

    answered = asked(app, "/v1/score", [b'{"text": "a"}\n'], query=key, headers=lines)

    assert b"too much" in answered.body
    assert analyze(app, query=key).code == 200  # the one comment that its key has


@pytest.mark.parametrize(("treatment", "then"), [("refuse", 400), ("hold", 429)])
def test_what_is_held_for_a_person_is_counted(
    treatment: str, then: int, make: Make, tmp_path: Path
) -> None:
    """Else a key could fill the moderators' queue."""
    file = tmp_path / "keys"
    file.write_text(f"site {sha256(b'wave').hexdigest()} 0.01\n")
    app, key = make(keys=file, other_languages=treatment), {"key": "wave"}

    assert analyze(app, GERMAN, query=key).code == 400
    assert analyze(app, GERMAN, query=key).code == then


@pytest.mark.parametrize("call", [analyze, lambda app: asked(app, "/v1/score", {"text": TEXT})])
def test_who_is_turned_away_costs_no_look_at_the_language(
    call: Callable[..., Answered], make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is most of what a refusal costs, and over capacity nearly all are refused."""
    looked_at: list[str] = []

    def detect(_: LanguageDetector, text: str) -> str:
        looked_at.append(text)
        return "en"

    monkeypatch.setattr(LanguageDetector, "__call__", detect)
    app = make()
    assert call(app).code == 200
    assert len(looked_at) == 1
    monkeypatch.setattr(Desk, "waits_s", 99.0)

    refused = call(app)

    assert (refused.code, refused.headers["retry-after"]) == (429, "99")
    assert len(looked_at) == 1


@pytest.mark.parametrize("path", [ANALYZE, "/v1/score"])
def test_who_is_turned_away_is_so_before_its_body_is_read_and_pays_nothing(
    path: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over capacity nearly all are: reading would take time from those who are judged."""
    file, query = tmp_path / "keys", {"key": "wave"}
    file.write_text(f"site {sha256(b'wave').hexdigest()} 0.01\n")
    app = make(keys=file)
    with monkeypatch.context() as full:
        full.setattr(Desk, "waits_s", 99.0)

        refused = asked(app, path, [b'{"text": '], query=query, then="hangs")

    assert (refused.code, refused.headers["retry-after"]) == (429, "99")
    assert analyze(app, query=query).code == 200  # the one comment that its key has


@pytest.mark.parametrize("path", [ANALYZE, ANALYZE.replace("/comments", "//comments"), "/v1/score"])
def test_over_capacity_a_refusal_at_once_is_that_of_the_call(
    path: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the byte, and counted as such."""
    file = tmp_path / "keys"
    file.write_text(f"site {sha256(b'wave').hexdigest()}\n")
    app, query = make(keys=file), {"key": "wave"}
    scope = scope_of(path, query=query)
    assert isinstance(app, AnswersAtOnce)  # as a connection sees it
    assert at_once(app, scope) is None
    monkeypatch.setattr(Desk, "waits_s", 99.0)

    usual, sooner = asked(app, path, {"text": TEXT}, query=query), at_once(app, scope)

    assert sooner is not None
    assert (sooner.status_code, sooner.body) == (usual.code, usual.body)
    assert dict(sooner.headers) == usual.headers
    assert usual.code == 429
    call = "score" if path == "/v1/score" else "analyze"
    assert f'tidegate_api_answers_total{{call="{call}",code="429"}} 2.0' in figures_of(app)


@pytest.mark.parametrize(
    ("path", "more"),
    [
        pytest.param(ANALYZE, {"query": {}}, id="no key"),
        pytest.param(ANALYZE, {"query": {"key": "other"}}, id="another key"),
        pytest.param(ANALYZE, {"headers": {"origin": "https://a.example"}}, id="from a page"),
        pytest.param("/v1/score", {"headers": {"content-type": LINES}}, id="a stream of lines"),
        pytest.param(SUGGEST, {}, id="a call that needs no device"),
        pytest.param("/v1/nothing", {}, id="no call"),
        pytest.param(ANALYZE, {"method": "OPTIONS"}, id="another method"),
    ],
)
def test_over_capacity_all_else_goes_the_usual_way(
    path: str, more: Any, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another refusal comes first, or none."""
    file = tmp_path / "keys"
    file.write_text(f"site {sha256(b'wave').hexdigest()}\n")
    app = make(keys=file, cors="https://a.example")
    monkeypatch.setattr(Desk, "waits_s", 99.0)

    let_in: list[Desk] = []
    monkeypatch.setattr(Desk, "let_in", let_in.append)

    assert at_once(app, scope_of(path, **({"query": {"key": "wave"}} | more))) is None
    assert not let_in  # nor is any room kept for it: who has no key would keep out who has one


def test_an_error_of_ours_is_counted_like_any_answer(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As 500: an alert rests on its rise, from the 0 that it begins with."""
    app = make()
    assert 'tidegate_api_answers_total{call="analyze",code="500"} 0.0' in figures_of(app)

    async def fails(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(Api, "analyze", fails)
    with pytest.raises(RuntimeError):  # on its way to the server's log
        analyze(app)

    assert 'tidegate_api_answers_total{call="analyze",code="500"} 1.0' in figures_of(app)


def test_that_parts_of_a_comment_were_not_scored_is_said_in_a_header(make: Make) -> None:
    """Perspective's answer has no word for it."""
    app = make(text_bytes=100_000)

    assert "x-tidegate-truncated" not in analyze(app).headers
    assert analyze(app, "word " * 10_000).headers["x-tidegate-truncated"] == "true"
