"""The benchmark against peers runs, in its short form; of times it promises nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.peers.comments import LONE_TOKENS, Comments
from benchmarks.peers.contestants import OURS, REFERENCE, contestants
from benchmarks.peers.fidelity import fidelity
from benchmarks.peers.goals import of_the_limit, ratios
from benchmarks.peers.job import Answer
from benchmarks.peers.limit import NoPeakError, Peak, measured_peak, tokens_per_s
from benchmarks.peers.scoring import Score
from benchmarks.peers.table import table
from rig.stream import PATH

SHIPPED = Path(__file__).parents[2] / "deploy" / "bundle"


def bench(out: Path, *options: str) -> dict[str, object]:
    """Run a short scoring benchmark as `make bench` does, and return what it wrote of its model."""
    arguments = ["peers", "--rounds", "1", "--comments", "4", "--out", str(out), *options]
    subprocess.run(
        [sys.executable, "-m", "benchmarks.run", *arguments],
        env={**os.environ, "PYTHONPATH": PATH},
        check=True,
    )
    (model,) = json.loads((out / "scoring.json").read_text())["models"].values()
    return {engine["name"]: engine for engine in model["engines"]} | {"ratios": model["ratios"]}


def done(name: str, seconds: float) -> Score:
    """Return what a contestant did that took so long for one comment in a single round."""
    contestant = next(one for one in contestants() if one.name == name)
    answer = Answer(
        ready_s=1, seconds=seconds, scores=[[0.5]], alone=[[0.5]], lone_ms=[1.0], peak_mb=1
    )
    return Score(contestant, [answer], rates=[1 / seconds], tokens=[1 / seconds])


def test_engines_are_measured_and_one_that_fails_is_named_while_the_others_go_on(
    tmp_path: Path,
) -> None:
    """The shipped bundle carries no float weights, so an engine of float has nothing to load."""
    only = "tidegate,OpenVINO int8,ONNX Runtime fp32"
    found = bench(tmp_path, "--models", str(SHIPPED), "--only", only)

    assert "comments_per_s" in found["tidegate"]  # type: ignore[operator]
    assert "comments_per_s" in found["OpenVINO int8"]  # type: ignore[operator]
    assert "model.onnx" in found["ONNX Runtime fp32"]["not_measured"]  # type: ignore[index]
    assert "ONNX Runtime fp32" in (tmp_path / "scoring.md").read_text()


def test_the_model_that_it_makes_gives_the_same_scores_in_torch_and_in_tidegate(
    tmp_path: Path,
) -> None:
    """Weights are made once, from a seed, for every engine."""
    pytest.importorskip("torch", reason="needs the full install")
    found = bench(tmp_path, "--models", "tiny", "--only", "tidegate,torch fp32")

    assert found["tidegate"]["to_reference"]["max_abs"] < 0.05  # type: ignore[index]
    assert [ratio["goal"] for ratio in found["ratios"]]  # type: ignore[attr-defined]
    assert (tmp_path / "scoring.png").stat().st_size > 0


def test_an_engine_that_is_fast_and_wrong_shows() -> None:
    """Of four decisions one flips, by six tenths."""
    found = fidelity([[[0.1, 0.9]], [[0.8, 0.4]]], [[[0.1, 0.9]], [[0.2, 0.4]]])

    assert found == {"max_abs": 0.6, "mean_abs": 0.15, "flips": 1, "decisions": 4}


def test_a_peer_counts_by_its_best_way_of_running() -> None:
    """The pipeline's batches of 8 are slower here than one at a time."""
    slow, fast = "transformers.pipeline, batches of 8", "transformers.pipeline, one at a time"
    scores = [done(OURS, 0.1), done(slow, 2.0), done(fast, 1.0), done(REFERENCE, 0.5)]
    against = {ratio["against"]: ratio for ratio in ratios(scores, "with_vnni")}

    pipeline = against["transformers.pipeline at its best batch"]
    assert (pipeline["rival"], pipeline["ratio"]["median"], pipeline["goal"]) == (fast, 10.0, 7)
    assert against["the fastest bare engine"]["ratio"]["median"] == 5.0


def test_a_goal_of_one_kind_of_processor_is_none_on_another() -> None:
    """Without VNNI it is the afternoon loop alone that has a goal."""
    scores = [done(OURS, 0.1), done("transformers.pipeline, one at a time", 1.0)]

    assert {ratio["goal"] for ratio in ratios(scores, "without")} == {4, None}


def test_the_peak_of_the_processor_allows_what_the_shape_of_a_model_asks_for(
    tmp_path: Path,
) -> None:
    """Six layers of 384: 21.2 million operations a token in int8, 1.24 million in fp32 at 135."""
    shape = {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}
    (tmp_path / "config.json").write_text(json.dumps(shape))

    allowed = tokens_per_s(Peak(int8=931e9, fp32=233e9), tmp_path, [135] * 4)

    assert allowed == pytest.approx(35_500, rel=0.01)


def test_we_are_held_against_what_the_peak_allows_where_it_was_measured() -> None:
    """Seven tenths of it with VNNI."""
    (found,) = of_the_limit([done(OURS, 0.1)], [20.0], "with_vnni")

    assert (found["ratio"]["median"], found["goal"]) == (0.5, 0.7)
    assert of_the_limit([done(OURS, 0.1)], [], "with_vnni") == []


def test_int8_has_a_higher_peak_than_fp32() -> None:
    """Without a C compiler the benchmark says so, and goes on."""
    try:
        peak = measured_peak()
    except NoPeakError as error:
        pytest.skip(str(error))

    assert peak.int8 > peak.fp32 > 1e9


def test_no_comment_is_longer_than_the_model_takes() -> None:
    """Else one engine would cut it and another score its pieces, and tokens would differ."""
    comments = Comments.for_model(SHIPPED, 300)

    assert max(comments.tokens) == 128
    assert len(comments.tokens) == 300


def test_the_lone_comment_has_forty_tokens() -> None:
    """A goal is stated for that length."""
    from tokenizers import Tokenizer  # noqa: PLC0415 - used here alone

    tokenizer = Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))

    assert len(tokenizer.encode(Comments.for_model(SHIPPED, 1).lone).ids) == LONE_TOKENS


def test_columns_of_a_table_are_lined_up() -> None:
    """So that a terminal shows it as well as a browser."""
    assert table(["a", "b"], [["long", "c"]]) == "| a    | b |\n| ---- | - |\n| long | c |"
