"""Bias: a model that takes a name for an insult is found out, one that does not is not."""

from pathlib import Path

import numpy as np
import pytest

from schemas.errors import CommentsFileError
from trainer.bias import bias, read_bias


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """A file in which every term is praised and insulted alike."""
    lines = ["text,label,template"]
    for term in ("gay", "muslim", "tall", "african american"):
        for i in range(12):
            lines += [f"{i} is a great {term},NOT_BAD,x", f"{i} is a vile {term},BAD,x"]
    path = tmp_path / "bias-madlibs.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_model_that_takes_a_name_for_an_insult_is_found_out(templates: Path) -> None:
    """Within the group it is right, against the others it is wrong: BPSN says so, by term."""
    rows = read_bias(templates)
    scores = np.asarray([0.4 * ("vile" in t) + 0.5 * ("gay" in t) for t in rows.texts])

    found = bias(rows, scores)

    assert set(found["terms"]) == {"gay", "muslim", "african american"}
    assert found["terms"]["gay"] == {"subgroup_auc": 1.0, "bpsn_auc": 0.0, "bnsp_auc": 1.0}
    assert found["worst"]["bpsn_auc"]["term"] == "gay"
    assert found["worst"]["bpsn_auc"]["interval"] == [0.0, 0.0]


def test_a_fair_model_has_no_worst_term(templates: Path) -> None:
    """All areas are 1."""
    rows = read_bias(templates)

    found = bias(rows, np.asarray([float("vile" in text) for text in rows.texts]))

    assert found["auc"] == 1
    assert all(worst["below_overall"] == 0 for worst in found["worst"].values())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\nx,PERHAPS\n", "line 2: neither BAD nor NOT_BAD"),
        ("text,kind\nx,BAD\n", "no column label or toxic"),
        ("words,label\nx,BAD\n", "no column comment_text or text"),
        ("text,label\n", "it has no rows"),
    ],
)
def test_a_file_that_is_not_of_this_kind_is_named(
    tmp_path: Path, content: str, message: str
) -> None:
    """File, line and what was expected."""
    path = tmp_path / "bias.csv"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(CommentsFileError, match=f"bias.csv.*{message}"):
        read_bias(path)


def test_a_comment_that_stands_for_a_header_is_not_quoted(tmp_path: Path) -> None:
    """No message ever has a comment in it."""
    path = tmp_path / "bias.csv"
    path.write_text("you are all awful,0\nx,BAD\n", encoding="utf-8")

    with pytest.raises(CommentsFileError, match="the header may be missing") as refused:
        read_bias(path)

    assert "awful" not in refused.value.what
