"""The soak of an engine in its shortest form: a few windows, and all that it reports."""

import json
from pathlib import Path

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


def test_an_engine_that_changes_its_mind_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By more than a verdict's mark of a borderline covers."""
    found = {"ended": True, "farthest_from_the_first": 0.02}
    monkeypatch.setattr(engine_soak, "soak", lambda _: found)

    assert engine_soak.main(["--picture", str(tmp_path / "soak.png")]) == 1
