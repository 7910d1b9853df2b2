"""`tidegate feedback`: from decisions on a real topic to rows that the trainer reads."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from math import nan
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from rig.stream import PATH, Stream
from schemas.dead_letter import digest_of

pytestmark = pytest.mark.broker

REMARK = "a very private remark"


@pytest.fixture
def stream(make_stream: Callable[[int], Stream]) -> Stream:
    """Give topics of two partitions."""
    return make_stream(2)


def publish(
    stream: Stream,
    topic: str,
    records: Iterable[tuple[str, Any]],
    headers: Sequence[tuple[str, bytes]] = (),
) -> None:
    """Publish keys with values; None is a tombstone, bytes are sent as they are."""
    producer = Producer({"bootstrap.servers": stream.servers, "partitioner": "murmur2_random"})
    for key, value in records:
        sent = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        producer.produce(topic, sent, key.encode(), headers=list(headers))
    assert producer.flush(30) == 0


def decision(comment_id: str, labels: dict[str, float], **more: Any) -> tuple[str, dict[str, Any]]:
    """Return a record of feedback."""
    at = "2026-11-28T00:00:00Z"
    return comment_id, {"comment_id": comment_id, "labels": labels, "decided_at": at} | more


def feedback(stream: Stream, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    ours = {"TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": stream.servers, "PYTHONPATH": PATH}
    names = {f"TIDEGATE_TOPICS__{name.upper()}": topic for name, topic in stream.topics}
    theirs = {name: v for name, v in os.environ.items() if not name.startswith("TIDEGATE")}
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", "feedback", *options],
        env=theirs | ours | names,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def test_the_last_decision_on_a_comment_becomes_a_row(stream: Stream) -> None:
    """What was erased, says no label or is no decision is left out, and counted."""
    publish(
        stream,
        stream.topics.feedback,
        [
            decision("a", {"toxic": 0}, text="first", community="gaming"),
            decision("b", {"toxic": 1, "insult": 0.5}, text=REMARK),
            decision("erased", {"toxic": 1}, text="never"),
            decision("a", {"toxic": 1}, text="second", community="gaming"),
            decision("action", {}, text="said nothing", action="remove"),
            decision("spam", {"spam": 1}, text="no label of ours"),
            decision("empty", {"toxic": 1}, text=" "),
            decision("bare", {"threat": 1}),
            ("strange", b"{broken"),
            ("erased", None),
        ],
    )

    done = feedback(stream)

    rows = sorted((json.loads(line) for line in done.stdout.splitlines()), key=lambda r: r["id"])
    assert rows == [
        {"id": "a", "community": "gaming", "text": "second", "toxic": 1.0},
        {"id": "b", "community": None, "text": REMARK, "toxic": 1.0, "insult": 0.5},
    ]
    said = done.stderr.splitlines()[-1]
    assert set(said.split(", ")) == {
        "2 rows",
        "2 without one of our labels",
        "1 of another shape",
        "2 without a text",
    }
    assert REMARK not in done.stderr


def test_texts_that_are_missing_are_found_among_the_comments(stream: Stream) -> None:
    """The last revision; not of a comment that was erased since, as a dead letter erases none."""
    refused = [("tidegate.detail", digest_of(b"a comment").encode())]
    publish(
        stream,
        stream.topics.feedback,
        [decision(name, {"toxic": 1}) for name in ("edited", "erased", "unknown")],
    )
    publish(
        stream,
        stream.topics.comments,
        [
            ("edited", {"id": "edited", "text": "before"}),
            ("erased", {"id": "erased", "text": "gone"}),
            ("edited", {"id": "edited", "text": "after"}),
            ("erased", None),
        ],
    )
    publish(stream, stream.topics.comments, [("edited", None)], refused)

    done = feedback(stream, "--join")

    (row,) = (json.loads(line) for line in done.stdout.splitlines())
    assert row == {"id": "edited", "community": None, "toxic": 1.0, "text": "after"}
    assert "2 without a text" in done.stderr


def test_the_trainer_reads_the_rows(stream: Stream, tmp_path: Path) -> None:
    """With a text, the labels that are known, and the rest left blank."""
    data = pytest.importorskip("trainer.data")
    decisions = [
        decision("a", {"toxic": 1, "identity_hate": 0.5, "spam": 1}, text="one"),
        decision("b", {"threat": 0}, text="two"),
    ]
    publish(stream, stream.topics.feedback, decisions)
    out = tmp_path / "feedback.jsonl"

    feedback(stream, "--out", str(out))

    found = data.read_files([data.labelled_file(str(out))])
    labels = dict(zip(found.texts, found.labels.tolist(), strict=True))
    assert labels == {
        "one": pytest.approx([1, nan, nan, nan, nan, 0.5], nan_ok=True),
        "two": pytest.approx([nan, nan, nan, 0, nan, nan], nan_ok=True),
    }
