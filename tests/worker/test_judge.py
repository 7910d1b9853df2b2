"""What is sent out: the bytes hold to the contracts, and never a word of a comment."""

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import booleans, floats, lists, none, sampled_from, text

from rig.make import TIMESTAMP, TOPIC, make_judge, make_judged, make_prepared, make_record, value_of
from rig.stub import stub_manifest
from schemas.dead_letter import Reason
from schemas.labels import LABELS
from schemas.verdict import BORDERLINE, Action, Flag, Status, Verdict, verdict_id
from worker.judge import DECIMALS
from worker.settings import TopicSettings
from worker.window import (
    Comment,
    Erasure,
    Headers,
    Judged,
    Outcome,
    Outgoing,
    Prepared,
    Record,
    Refusal,
    Scored,
)

TOPICS = TopicSettings()
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SCORE_ROWS = lists(floats(0, 1), min_size=6, max_size=6)
WRITTEN = text(max_size=40).filter(
    lambda t: t.isascii() or not any("\ud800" <= c <= "\udfff" for c in t)
)

VERDICT_SCHEMA = jsonschema.Draft202012Validator(Verdict.model_json_schema())
FLAG_SCHEMA = jsonschema.Draft202012Validator(Flag.model_json_schema())


def judged_with(prepared: Prepared, rows: list[list[float]]) -> Judged:
    """Judge a window of such scores."""
    scores = np.array(rows, dtype=np.float64).reshape(len(rows), len(LABELS))
    return make_judge()(Scored(prepared, scores, 0.0))


def judge_one(record: Record, scores: list[float]) -> Outcome:
    """Judge one comment of such scores."""
    (outcome,) = judged_with(make_prepared([record]), [scores]).outcomes
    return outcome


def payload(message: Outgoing) -> dict[str, Any]:
    """Check a verdict or a flag against both forms of its contract, and read it."""
    assert message.value is not None
    found: dict[str, Any] = json.loads(message.value)
    is_flag = message.topic == TOPICS.flags
    (FLAG_SCHEMA if is_flag else VERDICT_SCHEMA).validate(found)
    (Flag if is_flag else Verdict).model_validate_json(message.value)
    return found


@given(
    scores=SCORE_ROWS,
    community=none() | text(alphabet="abc", min_size=1),
    headers=sampled_from([[], [("traceparent", TRACE), ("other", b"1")]]),
)
def test_scored_bytes_hold_to_the_contract(
    scores: list[float], community: str | None, headers: Headers
) -> None:
    """Verdict and flag validate by pydantic and by JSON Schema; labels agree with the scores."""
    record = make_record(7, value_of(community=community, revision=3), headers=headers)

    outcome = judge_one(record, scores)

    verdict = payload(outcome.messages[0])
    rounded = [round(score, DECIMALS) for score in scores]
    over = [
        label
        for label, score in zip(LABELS, verdict["scores"].values(), strict=True)
        if score >= 0.5
    ]
    assert rounded == pytest.approx(list(verdict["scores"].values()), abs=1e-12)
    assert over == verdict["labels"] == list(outcome.labels)
    assert list(LABELS) == list(verdict["scores"])
    worst = max(verdict["scores"].values())
    expected = Action.REMOVE if worst >= 0.95 else Action.REVIEW if worst >= 0.5 else Action.ALLOW
    assert expected == verdict["action"] == outcome.action
    assert (Status.SCORED, "c1", 3, community) == tuple(
        verdict[name] for name in ("status", "comment_id", "revision", "community")
    )
    flags = [m for m in outcome.messages if m.topic == TOPICS.flags]
    assert (expected is not Action.ALLOW) == bool(flags)
    assert all(verdict == payload(flag) for flag in flags)
    assert {b"c1"} == {m.key for m in outcome.messages}
    assert all(("traceparent" in dict(m.headers)) == bool(headers) for m in outcome.messages)
    assert all("other" not in dict(m.headers) for m in outcome.messages)


@pytest.mark.parametrize(
    ("score", "marked"),
    [
        (0.489999, []),
        (0.49, ["severe_toxic"]),
        (0.5, ["severe_toxic"]),
        (0.51, ["severe_toxic"]),
        (0.510001, []),
        (0.94, ["severe_toxic"]),
        (0.95, ["severe_toxic"]),
        (0.96, ["severe_toxic"]),
        (0.97, []),
    ],
)
def test_a_score_as_close_to_a_threshold_as_company_may_move_it_is_marked(
    score: float, marked: list[str]
) -> None:
    """On either side of the threshold to review, and of the one to remove."""
    outcome = judge_one(make_record(7, value_of()), [0.1, score, 0.7, 0.0, 1.0, 0.3])

    assert payload(outcome.messages[0])["borderline"] == marked == list(outcome.borderline)


@given(scores=SCORE_ROWS, moves=lists(floats(-BORDERLINE, BORDERLINE), min_size=6, max_size=6))
def test_what_is_not_marked_comes_out_the_same_in_any_company(
    scores: list[float], moves: list[float]
) -> None:
    """No label that is not `borderline` is set or unset by a move within the bound."""
    moved = [min(1.0, max(0.0, s + move)) for s, move in zip(scores, moves, strict=True)]
    before, after = (judge_one(make_record(7, value_of()), each) for each in (scores, moved))

    assert set(before.labels) ^ set(after.labels) <= set(before.borderline)
    if not before.borderline:
        assert before.action == after.action


@given(
    reason=sampled_from(Reason),
    comment_id=none() | text(alphabet="cd1", min_size=1),
    with_payload=booleans(),
)
def test_what_nobody_judged_is_held_and_never_allowed(
    reason: Reason, comment_id: str | None, *, with_payload: bool
) -> None:
    """A held verdict wherever there is an id; tidegate fails closed."""
    refusal = Refusal(reason, "detail", comment_id, with_payload=with_payload)

    outcome = make_judge().outcome(make_record(9), refusal)

    letter, *others = outcome.messages
    assert TOPICS.dead_letters == letter.topic
    if comment_id is None:
        assert others == []
        assert outcome.action is None
        return
    verdict, flag = others
    found = payload(verdict)
    assert found == payload(flag)
    assert ("held", "review", reason, {}, []) == tuple(
        found[name] for name in ("status", "action", "reason", "scores", "labels")
    )
    assert comment_id.encode() == verdict.key == flag.key


def test_no_verdict_is_worth_allowing_when_scores_are_lost() -> None:
    """NaN is what a comment has that fits no device: held, with a dead letter."""
    outcome = judge_one(make_record(), [np.nan] * 6)

    letter, verdict, _ = outcome.messages
    assert dict(letter.headers)["tidegate.reason"] == b"not_scorable"
    assert (payload(verdict)["status"], payload(verdict)["reason"]) == ("held", "not_scorable")


@given(words=lists(text(alphabet="qxz", min_size=5, max_size=9), min_size=1, max_size=5))
def test_no_word_of_a_comment_leaves_in_a_verdict(words: list[str]) -> None:
    """Neither in a scored one nor in a held one, in no header, value or key."""
    said = " ".join(words)
    comments = [
        make_record(0, value_of(said, author="author-qxz")),
        make_record(1, json.dumps({"id": "c1", "text": said, "revision": "qxzqxz"}).encode()),
        make_record(2, said.encode()),
    ]

    for outcome in make_judged(comments).outcomes:
        for message in outcome.messages:
            if message.topic == TOPICS.dead_letters:
                ours = [v for n, v in message.headers if n.startswith("tidegate.")]
                sent = b"".join(v or b"" for v in ours)
            else:
                sent = b"".join([message.value or b"", *(v or b"" for _, v in message.headers)])
            assert all(word.encode() not in sent for word in [*words, "author-qxz"])


def test_a_dead_letter_is_its_record_and_why() -> None:
    """Key, value and headers as they came, in order; ours behind them, as text."""
    headers: Headers = [("a", b"1"), ("a", None), ("b", b"\xff"), ("traceparent", TRACE)]
    record = make_record(41, b"{broken", b"c1", partition=2, headers=headers)

    (outcome,) = make_judged([record]).outcomes

    letter = outcome.messages[0]
    assert (letter.key, letter.value) == (b"c1", b"{broken")
    assert [
        *headers,
        ("tidegate.reason", b"value_not_json"),
        ("tidegate.detail", b"expected a JSON object"),
        ("tidegate.source.topic", TOPIC.encode()),
        ("tidegate.source.partition", b"2"),
        ("tidegate.source.offset", b"41"),
        ("tidegate.source.timestamp", str(TIMESTAMP).encode()),
    ] == list(letter.headers)


def test_a_letter_without_its_payload_has_no_foreign_header() -> None:
    """What the broker refused may be any part of the record."""
    refusal = Refusal(Reason.REFUSED_BY_BROKER, "sha256", "c1", with_payload=False)

    letter = make_judge().outcome(make_record(headers=[("a", b"1")]), refusal).messages[0]

    assert (letter.key, letter.value) == (b"c1", None)
    assert all(name.startswith("tidegate.") for name, _ in letter.headers)


def test_an_erasure_leaves_a_tombstone_on_all_that_speak_of_a_comment() -> None:
    """The key's own bytes, no value, and no CloudEvent, which would be data about nothing."""
    record = make_record(3, None, b"\xffc1", headers=[("traceparent", TRACE), ("x", b"1")])

    outcome = make_judge().outcome(record, Erasure(b"\xffc1"))

    assert [TOPICS.verdicts, TOPICS.flags, TOPICS.feedback] == [m.topic for m in outcome.messages]
    assert [(m.key, m.value) for m in outcome.messages] == [(b"\xffc1", None)] * 3
    assert [list(m.headers) for m in outcome.messages] == [[("traceparent", TRACE)]] * 3
    assert outcome.action is None


def test_an_id_is_that_of_the_place_for_ever() -> None:
    """The same comment, judged again by the same bundle, has the same verdict's id."""
    first = payload(judge_one(make_record(5, partition=1), [0.1] * 6).messages[0])
    again = payload(judge_one(make_record(5, partition=1), [0.1] * 6).messages[0])

    expected = str(verdict_id(TOPIC, 1, 5, stub_manifest().version))
    assert expected == first["verdict_id"] == again["verdict_id"]
    assert str(verdict_id("comments", 0, 1, "v")) == "9a20ae5c-f4d8-56a9-bb0a-938fcbbb7124"


def test_cloud_events_name_the_kind_and_the_id() -> None:
    """Binary mode: attributes in headers, data alone in the value."""
    verdict, flag = judge_one(make_record(), [0.9] * 6).messages

    for message, kind in ((verdict, b"tidegate.verdict.v1"), (flag, b"tidegate.flag.v1")):
        found = dict(message.headers)
        assert (b"1.0", kind) == (found["ce_specversion"], found["ce_type"])
        assert payload(message)["verdict_id"].encode() == found["ce_id"]
        assert found["content-type"] == b"application/json"
        assert datetime.fromisoformat((found["ce_time"] or b"").decode()).tzinfo == UTC


@given(scores=lists(SCORE_ROWS, min_size=1, max_size=12), erasures=lists(booleans(), max_size=6))
def test_every_record_has_its_own_outcome_in_order(
    scores: list[list[float]], erasures: list[bool]
) -> None:
    """Scores belong to comments alone; erasures between them shift nobody's."""
    kinds = [*erasures, *([False] * len(scores))][: len(scores)]
    records = [make_record(n, None if kind else value_of()) for n, kind in enumerate(kinds)]
    prepared = make_prepared(records)
    rows = [row for row, kind in zip(scores, kinds, strict=True) if not kind]

    outcomes = judged_with(prepared, rows).outcomes

    assert records == [outcome.record for outcome in outcomes]
    found = [payload(o.messages[0])["scores"] for o in outcomes if isinstance(o.entry, Comment)]
    assert [pytest.approx(row, abs=1e-6) for row in rows] == [list(s.values()) for s in found]


@given(comment_id=text(min_size=1, max_size=30), community=text(min_size=1, max_size=20))
def test_any_id_and_community_come_out_as_they_are(comment_id: str, community: str) -> None:
    """Whatever characters a platform uses; half a surrogate pair never comes so far."""
    value = value_of("x", comment_id, community=community)

    (outcome,) = make_judged([make_record(0, value, comment_id.encode())]).outcomes

    found = payload(outcome.messages[0])
    assert (comment_id, community) == (found["comment_id"], found["community"])
    assert comment_id.encode() == outcome.messages[0].key
