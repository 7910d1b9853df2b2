"""Partial responses: what Google's clients may ask for by `fields`."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.api.discovery import schemas
from worker.api.errors import ApiError
from worker.api.partial import cut, mask_of, refuse_unknown

ANSWER: dict[str, Any] = {
    "attributeScores": {
        "TOXICITY": {
            "summaryScore": {"value": 0.9, "type": "PROBABILITY"},
            "spanScores": [{"begin": 0, "end": 4, "score": {"value": 0.9}}],
        },
        "INSULT": {"summaryScore": {"value": 0.1, "type": "PROBABILITY"}},
    },
    "languages": ["en"],
}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("languages", {"languages": ["en"]}),
        (
            "attributeScores/INSULT/summaryScore/value",
            {"attributeScores": {"INSULT": {"summaryScore": {"value": 0.1}}}},
        ),
        (
            "attributeScores(TOXICITY/spanScores/begin,INSULT),languages",
            {
                "attributeScores": {
                    "TOXICITY": {"spanScores": [{"begin": 0}]},
                    "INSULT": ANSWER["attributeScores"]["INSULT"],
                },
                "languages": ["en"],
            },
        ),
        (
            "attributeScores/*/summaryScore/value",
            {
                "attributeScores": {
                    "TOXICITY": {"summaryScore": {"value": 0.9}},
                    "INSULT": {"summaryScore": {"value": 0.1}},
                }
            },
        ),
        ("*", ANSWER),
        ("clientToken", {}),
        (
            "attributeScores/INSULT/summaryScore/type,attributeScores(INSULT,TOXICITY/spanScores/begin)",
            {
                "attributeScores": {
                    "TOXICITY": {"spanScores": [{"begin": 0}]},
                    "INSULT": ANSWER["attributeScores"]["INSULT"],
                }
            },
        ),
        (
            "attributeScores/INSULT/summaryScore,attributeScores,attributeScores/TOXICITY/spanScores",
            {"attributeScores": ANSWER["attributeScores"]},
        ),
        (
            "attributeScores/*/summaryScore/type,attributeScores/INSULT/summaryScore/value",
            {
                "attributeScores": {
                    "TOXICITY": {"summaryScore": {"type": "PROBABILITY"}},
                    "INSULT": ANSWER["attributeScores"]["INSULT"],
                }
            },
        ),
    ],
)
def test_only_what_was_asked_for_is_left(fields: str, expected: dict[str, Any]) -> None:
    """By path, by a list in brackets, or for any name; twice named, in both ways."""
    assert cut(ANSWER, mask_of(fields)) == expected


@pytest.mark.parametrize(
    "fields", ["", ",", "a,", "a(", "a()", "a)", "a(b", "(a)", "a//b", "/a", "a(b)c", "a(b" * 50]
)
def test_what_is_no_list_of_fields_is_refused(fields: str) -> None:
    """With Google's words for it."""
    with pytest.raises(ApiError, match="Invalid field selection"):
        mask_of(fields)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ("attribute_scores", "attribute_scores"),
        ("languages,scores/TOXICITY", "scores"),
        ("attributeScores/TOXICITY/summary", "summary"),
        ("attributeScores/*/spanScores/score/worth", "worth"),
        ("languages/inside", "inside"),
        ("*/TOXICITY/worth", "TOXICITY"),
        ("attributeScores/*/*/worth", "worth"),
        ("attributeScores/TOXICITY/summaryScore/value/inside", "inside"),
    ],
)
def test_a_field_that_no_answer_has_is_named(fields: str, named: str) -> None:
    """An empty answer would look like one without scores."""
    with pytest.raises(ApiError, match=f"Invalid field selection {named}$"):
        refuse_unknown(mask_of(fields), "AnalyzeCommentResponse", schemas())


@pytest.mark.parametrize(
    "fields",
    [
        "*",
        "*/TOXICITY",
        "attributeScores/*/*(value,begin)",
        "attributeScores/SPAM/spanScores(begin,end,score/*)",
        "clientToken",
    ],
)
def test_a_field_that_an_answer_may_have_is_no_error(fields: str) -> None:
    """An attribute has any name; what is in a star may be in some fields alone."""
    refuse_unknown(mask_of(fields), "AnalyzeCommentResponse", schemas())


@given(st.text(alphabet="ab,()/* ", max_size=400))
def test_any_text_is_a_mask_or_is_refused(fields: str) -> None:
    """It comes from outside: no other error, however deep."""
    try:
        mask = mask_of(fields)
    except ApiError:
        return
    cut(ANSWER, mask)
    with suppress(ApiError):
        refuse_unknown(mask, "AnalyzeCommentResponse", schemas())
