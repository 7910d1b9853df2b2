"""Partial responses: what Google's clients may ask for by `fields`."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.api.errors import ApiError
from worker.api.partial import cut, mask_of

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
        ("languages/inside", {"languages": ["en"]}),
    ],
)
def test_only_what_was_asked_for_is_left(fields: str, expected: dict[str, Any]) -> None:
    """By path, by a list in brackets, or for any name."""
    assert cut(ANSWER, mask_of(fields)) == expected


@pytest.mark.parametrize(
    "fields", ["", ",", "a,", "a(", "a()", "a)", "a(b", "(a)", "a//b", "/a", "a(b)c", "a(b" * 50]
)
def test_what_is_no_list_of_fields_is_refused(fields: str) -> None:
    """With Google's words for it."""
    with pytest.raises(ApiError, match="Invalid field selection"):
        mask_of(fields)


@given(st.text(alphabet="ab,()/* ", max_size=400))
def test_any_text_is_a_mask_or_is_refused(fields: str) -> None:
    """It comes from outside: no other error, however deep."""
    try:
        mask = mask_of(fields)
    except ApiError:
        return
    cut(ANSWER, mask)
