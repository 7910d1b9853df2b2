"""The soak of an engine in its shortest form: a few windows, and all that it reports."""

import json
import os
from collections.abc import Sequence
from contextlib import redirect_stderr
from math import isnan, nan
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest

from benchmarks import engine_soak


def test_a_soak_reports_what_moved_what_grew_and_how_far_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of the shipped bundle nothing moves."""
    pytest.importorskip("matplotlib", reason="needs the full install")
    monkeypatch.setattr(engine_soak, "COMMENTS", 40)
    monkeypatch.setattr(engine_soak, "MOST", 10)
    monkeypatch.setattr("faults.vitals.SAMPLE_S", 0.05)
    picture = tmp_path / "soak.png"

    status = engine_soak.main(
        ["--engine", "openvino", "--hours", "0.0005", "--picture", str(picture)]
    )

    said = capfd.readouterr().out
    found = json.loads(said[said.index("{") :])
    assert status == 0
    assert found["ended"]
    assert found["windows"] > 0
    assert found["farthest_from_the_first"] < 0.01
    assert picture.stat().st_size > 0


@pytest.mark.parametrize(
    ("ended", "farthest", "status"),
    [(True, 0.009, 0), (True, 0.02, 1), (True, nan, 1), (False, 0.0, 1)],
)
def test_an_engine_that_changes_its_mind_or_dies_fails(
    ended: bool,  # noqa: FBT001 - a table's column
    farthest: float,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By more than a verdict's mark of a borderline covers, or to what is no number."""
    found = {"ended": ended, "farthest_from_the_first": farthest}
    monkeypatch.setattr(engine_soak, "soak", lambda _: found)

    assert engine_soak.main([]) == status


def test_what_is_no_number_is_not_forgotten() -> None:
    """Though all that follows is right again."""

    class Once:
        """Gives no number the second time."""

        asked = 0

        def probabilities(self, pieces: Sequence[Sequence[int]]) -> Any:
            """Return the same for all."""
            self.asked += 1
            return np.full((len(pieces), 6), nan if self.asked == 2 else 0.5)

    run = engine_soak.Soak(Once(), [[1, 2]] * 500, seed=0, limit_s=60)  # type: ignore[arg-type]

    with (Path(os.devnull)).open("w") as stderr, redirect_stderr(stderr):
        run.until(monotonic() + 0.2)

    assert run.windows > 1
    assert isnan(run.farthest)
