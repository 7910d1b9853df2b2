"""What the benchmarks share: a broker, topics, comments in, workers as processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import IO, Any

import psutil
from confluent_kafka import Producer

from deploy.broker import LocalBroker
from deploy.topics import create_topics
from worker.settings import load_settings
from worker.topics import admin_client

TESTS = Path(__file__).parent.parent
PARTITIONS = 6


@dataclass
class Run:
    """A worker process, and what it said of each window."""

    process: subprocess.Popen[str]
    windows: list[dict[str, Any]] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)  # resident, once a window
    other: list[str] = field(default_factory=list)

    def read(self, stream: IO[str]) -> None:
        """Collect the log until the process ends."""
        process = psutil.Process(self.process.pid)
        for line in stream:
            event = json.loads(line) if line.startswith("{") else {"event": line}
            if event["event"] != "window":
                self.other.append(line)
                continue
            event["at"] = datetime.fromisoformat(event["timestamp"]).timestamp()
            self.windows.append(event)
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                self.memory_mb.append(process.memory_info().rss / 2**20)

    @property
    def records(self) -> int:
        """Records committed so far."""
        return sum(window["records"] for window in self.windows)

    def rate(self) -> float:
        """Records a second, from the first commit to the last: start-up left out."""
        first, last = self.windows[0]["at"], self.windows[-1]["at"]
        return float((self.records - self.windows[0]["records"]) / (last - first))


def environment(broker: LocalBroker, name: str, **settings: str) -> dict[str, str]:
    """Return the settings of a benchmark: topics and a group of its own."""
    topics = ("comments", "verdicts", "flags", "dead_letters", "feedback", "policies")
    return {
        "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "TIDEGATE_KAFKA__GROUP_ID": name,
        "TIDEGATE_HEALTH__PORT": "0",
        "TIDEGATE_LOG__FORMAT": "json",
        **{f"TIDEGATE_TOPICS__{topic.upper()}": f"{name}.{topic}" for topic in topics},
        **settings,
    }


def prepare_topics(settings: dict[str, str]) -> None:
    """Create a benchmark's topics."""
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        found = load_settings()
        list(create_topics(found, admin_client(found), PARTITIONS, 1))
    finally:
        os.environ.clear()
        os.environ.update(before)


def play(broker: LocalBroker, topic: str, texts: Iterable[str]) -> int:
    """Produce comments as fast as they go in, and return how many."""
    producer = Producer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "partitioner": "murmur2_random",
            "linger.ms": 20,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    count = 0
    for number, text in enumerate(texts):
        event = json.dumps({"id": f"c{number}", "text": text, "community": "bench"})
        producer.produce(topic, event, f"c{number}")
        producer.poll(0)
        count += 1
    producer.flush()
    return count


@contextmanager
def worker(settings: dict[str, str], *command: str) -> Iterator[Run]:
    """Run a worker process, and stop it by SIGTERM."""
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    process = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, **settings, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
    )
    run = Run(process)
    if process.stderr is None:
        raise RuntimeError("no pipe")
    reader = Thread(target=run.read, args=(process.stderr,))
    reader.start()
    try:
        yield run
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        reader.join()


def await_records(run: Run, count: int, timeout_s: float) -> None:
    """Wait until so many records are committed."""
    await_all([run], count, timeout_s)


def await_all(runs: Sequence[Run], count: int, timeout_s: float) -> None:
    """Wait until so many records are committed by workers together."""
    end = monotonic() + timeout_s
    while sum(run.records for run in runs) < count:
        for run in runs:
            if run.process.poll() is not None or monotonic() > end:
                raise RuntimeError(f"{run.records} of {count} records; {''.join(run.other[-5:])}")
        try:
            runs[0].process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
