"""Perspective's own scores: what a file of them must have."""

import json
from pathlib import Path

import pytest

from schemas.errors import CommentsFileError
from trainer.perspective import read_perspective


def test_a_score_that_a_row_lacks_is_named_with_its_row(tmp_path: Path) -> None:
    """The first row says which scores there are; each later one has to have them."""
    path = tmp_path / "scores.jsonl"
    rows = [{"comment_text": "x", "TOXICITY": 0.5}, {"comment_text": "y"}]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")

    with pytest.raises(CommentsFileError, match=r"line 2.*: TOXICITY is no number from 0 to 1"):
        read_perspective(path)
