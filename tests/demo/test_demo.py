"""The demo as people start it: a real broker, real workers, each comment with one outcome."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.broker

PATIENCE_S = 240.0
DEMO = [sys.executable, "-m", "deploy.cli", "demo", "--plain"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `tidegate demo` to its end."""
    return subprocess.run(
        [*DEMO, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env=os.environ | environment,
    )


def test_each_comment_has_exactly_one_outcome() -> None:
    """The built-in comments, two workers: so many in, so many out, and nothing left running."""
    done = run("--count", "60", "--workers", "2", "--json")

    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["comments"] == summary["verdicts"] == 60
    assert summary["held"] == summary["dead_letters"] == 1
    assert summary["flags"] == summary["actions"]["review"] + summary["actions"]["remove"]
    assert 0 < summary["p50_ms"] <= summary["p99_ms"]
    assert summary["first_verdict_s"] > 0
    assert summary["problems"] == []
    assert "worker-0" in done.stderr
    assert "worker-1" in done.stderr


def test_a_file_is_repeated_up_to_the_count(tmp_path: Path) -> None:
    """Two comments, five times: ten outcomes."""
    file = tmp_path / "mine.csv"
    file.write_text("id,comment_text\na,hello there\nb,you are a fool\n")

    done = run("--comments", str(file), "--count", "10")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("10 comments, 10 verdicts: each comment has exactly one outcome")


def test_a_worker_that_dies_is_named_with_its_last_words() -> None:
    """A wrong bundle, for example: its own error is on the screen, and the exit is not 0."""
    done = run("--count", "10", TIDEGATE_BUNDLE="/no/such/bundle")

    assert done.returncode == 1
    assert "worker-0 ended by itself with status 1" in done.stderr
    assert "/no/such/bundle" in done.stderr
    assert done.stdout == ""


def test_a_wrong_setting_is_named_before_anything_is_started() -> None:
    """It is the worker's error, without the wait for a broker."""
    done = run("--count", "10", TIDEGATE_NO_SUCH_SETTING="1")

    assert done.returncode == 1
    assert "TIDEGATE_NO_SUCH_SETTING" in done.stderr
    assert "answers" not in done.stderr


def test_ctrl_c_ends_in_good_order_with_the_summary_so_far() -> None:
    """Workers and broker stop, what was judged is shown, and the exit is a shell's 130."""
    with subprocess.Popen(
        [*DEMO, "--count", "1000000", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        seen = ""
        while process.stderr and " of " not in seen:  # the first line with figures
            seen = process.stderr.readline()
            assert seen, "the demo ended before its first figures"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130, err
    summary = json.loads(out)
    assert summary["comments"] >= summary["verdicts"]
    assert "Traceback" not in err
