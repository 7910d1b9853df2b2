"""`tidegate reconcile` on a real broker: an honest run is proven, a seeded fault is refuted."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from deploy.reconcile.findings import Answer, Promise
from deploy.reconcile.report import Report
from deploy.reconcile.since import Since
from rig.checker import payload
from rig.stream import PATIENCE_S, Stream

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parent.parent.parent


def refuted(report: Report) -> set[Promise]:
    """Return the promises that a report refutes."""
    return {promise for promise in Promise if report.findings.answer(promise) is Answer.REFUTED}


def text(report: Report) -> str:
    """Return a report for an assertion's message."""
    return "\n".join(report.lines())


def judged(stream: Stream, count: int = 300, **settings: object) -> Stream:
    """Have comments, erasures and broken records judged, and the worker ended."""
    stream.produce_comments(range(count))
    stream.produce([(b"k1", None, []), (b"k2", b"{broken", [("a", b"1"), ("a", None)])])
    stream.produce([(None, b"no key", []), (b"k1", b'{"id": "k1", "text": "again"}', [])])
    with stream.worker(**settings) as worker:
        stream.wait_until_judged()
        assert worker.stop() == 0
    return stream


def produce(stream: Stream, topic: str, key: bytes | None, value: bytes | None) -> None:
    """Publish one record, as a stranger would."""
    producer = Producer({"bootstrap.servers": stream.servers, "partitioner": "murmur2_random"})
    producer.produce(topic, value, key)
    assert producer.flush(PATIENCE_S) == 0


def commit(stream: Stream, partition: int, offset: int) -> None:
    """Commit an offset of the group, as a worker with a fault would."""
    settings = {"bootstrap.servers": stream.servers, "group.id": stream.name}
    with closing(Consumer(settings)) as consumer:
        place = TopicPartition(stream.topics.comments, partition, offset)
        consumer.commit(offsets=[place], asynchronous=False)


def test_an_honest_run_is_proven_while_the_worker_runs_and_after(
    make_stream: Callable[[int], Stream],
) -> None:
    """With a kill in it, whose open transaction is waited for and never counted."""
    stream = make_stream(3)
    stream.produce_comments(range(3_000))
    with stream.worker(KILL_AT="half_produced") as killed:
        killed.ended()
    with stream.worker(SCORE_S=0.05) as worker:
        worker.wait_for("window", times=3)
        running = stream.reconciled()
        stream.wait_until_judged()
        assert worker.stop() == 0
    judged(stream)

    report = stream.reconciled()

    assert running.answer is Answer.PROVEN, text(running)
    assert running.counts["comments"] > 0
    assert report.answer is Answer.PROVEN, text(report)
    assert report.counts["comments"] == 3_304
    assert (report.counts["erasures"], report.counts["dead letters"]) == (1, 2)
    assert report.looks >= 3


def test_a_verdict_published_again_is_refuted_but_for_at_least_once(
    make_stream: Callable[[int], Stream],
) -> None:
    """The same bytes, later: an id twice; where repeats are allowed it is one."""
    stream = judged(make_stream(2))
    again = next(v for v in stream.read(stream.topics.verdicts) if payload(v).get("labels") == [])
    produce(stream, stream.topics.verdicts, again.key, again.value)

    assert refuted(stream.reconciled()) == {Promise.IDS}
    report = stream.reconciled(delivery="at-least-once")
    assert report.answer is Answer.PROVEN, text(report)
    assert report.counts["repeats"] == 1


def test_offsets_committed_without_verdicts_are_refuted_with_their_places(
    make_stream: Callable[[int], Stream],
) -> None:
    """The gravest fault: comments that nobody saw."""
    stream = judged(make_stream(1))
    lost = stream.ends()[0]
    stream.produce_comments(range(10))
    commit(stream, 0, lost + 10)

    report = stream.reconciled()

    assert refuted(report) == {Promise.OUTCOMES}, text(report)
    (finding,) = report.findings.of(Promise.OUTCOMES)
    assert (finding.count, finding.first[0].offset) == (10, lost)


def test_an_offset_that_went_back_leaves_outcomes_above_it(
    make_stream: Callable[[int], Stream],
) -> None:
    """What was judged would be judged again."""
    stream = judged(make_stream(1))
    commit(stream, 0, stream.ends()[0] - 1)

    assert Promise.ORIGINS in refuted(stream.reconciled())


def test_a_lost_tombstone_and_one_of_nobody_are_refuted(
    make_stream: Callable[[int], Stream],
) -> None:
    """An erasure that was not passed on, and a tombstone that no erasure asked for."""
    stream = judged(make_stream(1))
    produce(stream, stream.topics.comments, b"k9", None)
    commit(stream, 0, stream.ends()[0])
    lost = stream.reconciled()
    for topic in (stream.topics.verdicts, stream.topics.flags):
        produce(stream, topic, b"k9", None)
    found = stream.reconciled()
    produce(stream, stream.topics.verdicts, b"nobody", None)

    assert refuted(lost) == {Promise.OUTCOMES}, text(lost)
    assert found.answer is Answer.PROVEN, text(found)
    assert refuted(stream.reconciled()) == {Promise.ORIGINS}


def test_topics_that_are_not_there_or_lost_their_beginning_are_unproven(
    make_stream: Callable[[int], Stream],
) -> None:
    """It names them, and proves what is left from a position on."""
    stream = judged(make_stream(1))
    missing = stream.topics.model_copy(update={"flags": "nowhere"})
    cut = TopicPartition(stream.topics.comments, 0, 100)
    no_flags = stream.reconciled(topics=missing)
    stream.admin.delete_records([cut])[cut].result(PATIENCE_S)

    truncated, later = stream.reconciled(), stream.reconciled(Since(offsets=((0, 100),)))

    assert no_flags.answer is Answer.UNPROVEN
    assert "topic nowhere does not exist" in text(no_flags)
    assert truncated.answer is Answer.UNPROVEN, text(truncated)
    assert f"{stream.topics.comments}/0/100" in text(truncated)
    assert later.answer is Answer.PROVEN, text(later)


def test_an_open_transaction_that_hides_outcomes_is_unproven(
    make_stream: Callable[[int], Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands behind it may be all that is missing; it is waited for, and then named."""
    monkeypatch.setattr("deploy.reconcile.read.PATIENCE_S", 2.0)
    stream = judged(make_stream(1))
    settings = {"bootstrap.servers": stream.servers, "transactional.id": f"{stream.name}-hangs"}
    producer = Producer(settings)
    producer.init_transactions(PATIENCE_S)
    producer.begin_transaction()
    producer.produce(stream.topics.verdicts, b"{}", b"k")
    producer.flush(PATIENCE_S)

    hidden = stream.reconciled()
    producer.abort_transaction(PATIENCE_S)

    assert hidden.answer is Answer.UNPROVEN
    assert "an open transaction hides it" in text(hidden)
    assert stream.reconciled().answer is Answer.PROVEN


def test_the_command_exits_with_its_answer(make_stream: Callable[[int], Stream]) -> None:
    """0 proven, 3 unproven, 2 for a wrong option; JSON on stdout, progress on stderr, no text."""
    stream = judged(make_stream(1))

    def run(*arguments: str, group: str) -> subprocess.CompletedProcess[bytes]:
        ours = {
            "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": stream.servers,
            "TIDEGATE_KAFKA__GROUP_ID": group,
            **{f"TIDEGATE_TOPICS__{name.upper()}": topic for name, topic in stream.topics},
        }
        clean = {n: v for n, v in os.environ.items() if not n.startswith("TIDEGATE_")}
        command = [sys.executable, "-m", "deploy.cli", "reconcile", *arguments]
        return subprocess.run(command, capture_output=True, check=False, cwd=ROOT, env=clean | ours)

    proven, nobody = run("--json", group=stream.name), run(group="nobody")

    assert proven.returncode == 0, proven.stderr
    assert json.loads(proven.stdout)["answer"] == "proven"
    assert b"reading" in proven.stderr
    assert nobody.returncode == 3, nobody.stderr
    assert b"group nobody has committed nothing" in nobody.stdout
    assert run("--since", "yesterday", group=stream.name).returncode == 2
