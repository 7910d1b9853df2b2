"""Logs: whatever goes wrong while a comment is in hand, its text stays out of them."""

import json
import subprocess
import sys

import pytest
import structlog

from rig.make import make_judged, make_record, make_shared, value_of
from worker.accounts import Accounts
from worker.breaker import Breaker
from worker.settings import BreakerSettings

# A comment in a local variable, in two frames, when something breaks. Logged by structlog, by
# the standard library as other people's code does it, and by structlog's own `exception`.
BREAKS = """
import logging, sys, structlog
from worker.logs import configure
from worker.settings import LogSettings

configure(LogSettings(format=sys.argv[1]))

def room(comment):
    words = comment.split()
    raise ValueError("the room is on fire")

def work():
    comment = "".join(["qxz", "secret", " said so"])
    room(comment)

try:
    work()
except ValueError:
    structlog.get_logger().exception("ours", records=3)
    structlog.get_logger().error("ours again", exc_info=True)
    logging.getLogger("theirs").exception("theirs")
"""


def logged(form: str) -> str:
    """Return what a process that breaks logs in such a form."""
    process = subprocess.run(
        [sys.executable, "-c", BREAKS, form], capture_output=True, text=True, check=True
    )
    assert process.stdout == ""
    return process.stderr


@pytest.mark.parametrize("form", ["json", "console", "auto"])
def test_no_local_variable_reaches_the_log(form: str) -> None:
    """The error and where it was are told; what was in hand is not."""
    text = logged(form)

    assert text.count("the room is on fire") >= 3
    assert "qxzsecret" not in text
    assert "said so" not in text.replace('"".join(["qxz", "secret", " said so"])', "")


def test_machines_get_one_object_a_line() -> None:
    """With level and time; also from the standard library's loggers."""
    lines = [json.loads(line) for line in logged("json").splitlines()]

    assert [line["event"] for line in lines] == ["ours", "ours again", "theirs"]
    assert {"error"} == {line["level"] for line in lines}
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert lines[0]["records"] == 3


def test_a_windows_line_holds_positions_and_counts_only() -> None:
    """No text, no key, no author, no community; one line for the whole window."""
    shared = make_shared()
    window = make_judged(
        [
            make_record(5, value_of("qxz one", "qxz-id", author="qxz-a"), b"qxz-id"),
            make_record(9, b"qxz no json", b"qxz-key", partition=1),
            make_record(11, None, b"qxz-key"),
        ]
    )

    with structlog.testing.capture_logs() as lines:
        Accounts(shared.metrics, Breaker(BreakerSettings()))(window, 0.25)

    (line,) = lines
    assert "qxz" not in json.dumps(line)
    assert tuple(line[name] for name in ("event", "records", "comments", "erasures")) == (
        "window",
        3,
        1,
        1,
    )
    assert line["dead_letters"] == {"value_not_json": 1}
    assert line["positions"] == {"0": [5, 11], "1": [9, 9]}
    assert line["publish_ms"] == 250
