"""The contracts: closed where we write, open where others write, silent about their input."""

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from schemas import comment, contract, dead_letter, errors, feedback, verdict
from schemas.labels import LABELS, MEANING

OURS: list[type[BaseModel]] = [
    verdict.Verdict,
    verdict.Flag,
    verdict.Model,
    verdict.Source,
    dead_letter.DeadLetterHeaders,
]
THEIRS: list[type[BaseModel]] = [comment.CommentEvent, feedback.Feedback]

A_VERDICT: dict[str, Any] = {
    "verdict_id": "6a0f6c2e-54a4-5b0e-9d36-0c6f1a3f7d10",
    "comment_id": "c1",
    "revision": 0,
    "community": None,
    "status": "scored",
    "scores": {"toxic": 0.1},
    "labels": [],
    "action": "allow",
    "truncated": False,
    "model": {"name": "m", "version": "v"},
    "policy": "p",
    "scored_at": "2026-01-01T00:00:00Z",
    "source": {"topic": "t", "partition": 0, "offset": 0, "timestamp": 0},
}


@pytest.mark.parametrize(
    "change",
    [
        {"status": "held"},
        {"status": "held", "scores": {}},
        {"status": "held", "scores": {}, "reason": "schema"},
        {"reason": "schema"},
        {"scores": {}},
        {"scores": {"toxic": 1.1}},
        {"scores": {"toxic": float("nan")}},
        {"text": "never"},
        {"scored_at": "2026-01-01T00:00:00"},
        {"comment_id": ""},
    ],
)
def test_a_verdict_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    """Held has a reason, no scores and no allow; scored has the reverse; no text, ever."""
    verdict.Verdict.model_validate(A_VERDICT)

    with pytest.raises(ValidationError):
        verdict.Verdict.model_validate(A_VERDICT | change)


@pytest.mark.parametrize("model", OURS + THEIRS)
def test_no_contracts_error_shows_its_input(model: type[BaseModel]) -> None:
    """Its input may be a comment."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate({name: {"v": "qxzqxz"} for name in model.model_fields})

    assert "qxzqxz" not in str(caught.value)


@pytest.mark.parametrize("model", OURS)
def test_what_we_write_is_closed_and_frozen(model: type[BaseModel]) -> None:
    """A field that nobody defined is a bug of ours."""
    assert issubclass(model, contract.Contract)
    assert model.model_config["extra"] == "forbid"
    assert model.model_config["frozen"]


@pytest.mark.parametrize("model", THEIRS)
def test_what_others_write_may_grow(model: type[BaseModel]) -> None:
    """A field that we do not know is theirs."""
    assert issubclass(model, contract.ForeignContract)
    assert model.model_config["extra"] == "ignore"


def test_dead_letter_headers_are_text_under_one_prefix() -> None:
    """`tidegate.source.offset` and so on, for whoever looks with a console consumer."""
    headers = dead_letter.DeadLetterHeaders(
        reason=dead_letter.Reason.SCHEMA,
        detail="text: Field required",
        source_topic="comments",
        source_partition=3,
        source_offset=41,
        source_timestamp=-1,
    )

    assert headers.encode() == [
        ("tidegate.reason", b"schema"),
        ("tidegate.detail", b"text: Field required"),
        ("tidegate.source.topic", b"comments"),
        ("tidegate.source.partition", b"3"),
        ("tidegate.source.offset", b"41"),
        ("tidegate.source.timestamp", b"-1"),
    ]


def test_only_reasons_of_a_deploy_stop_a_worker() -> None:
    """What a hostile account can send must not be among them."""
    assert {"value_not_json", "schema", "not_scorable"} == dead_letter.MADE_BY_A_DEPLOY


def test_every_label_has_its_meaning() -> None:
    """Six, in Jigsaw's order."""
    assert tuple(MEANING) == LABELS
    assert len(LABELS) == 6


def test_every_error_stands_in_the_drawn_tree() -> None:
    """The picture at the top of the file is the whole family."""
    family = {error.__name__ for error in errors.TidegateError.__subclasses__()}
    drawn = {e for e in family if e in (errors.__doc__ or "")}

    assert {e for e in family if e in vars(errors)} == drawn


def test_feedback_may_hold_the_share_of_moderators() -> None:
    """A label is 0, 1 or something between."""
    found = feedback.Feedback.model_validate_json(
        json.dumps(
            {"comment_id": "c1", "labels": {"toxic": 0.5}, "decided_at": "2026-01-01T00:00:00Z"}
        )
    )

    assert found.labels == {"toxic": 0.5}
