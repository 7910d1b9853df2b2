"""From produce to a read-committed verdict: at half load, at 90 %, for a lone comment when idle.

The loads are shares of the rate that the worker reached just before.
"""

import json
from collections.abc import Callable
from statistics import median, quantiles
from threading import Event
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
from confluent_kafka import Consumer, Producer

from benchmarks.cluster import await_records, environment, play, prepare_topics, worker
from benchmarks.costs import ROOMS, measured_worker
from benchmarks.simulated import poisson
from benchmarks.texts import real_texts
from deploy.broker import LocalBroker
from worker.bundle import open_bundle
from worker.run import tokeniser
from worker.settings import Settings

WARM_UP = 3_000  # six windows: of two, the rate comes out a fifth too high
SECONDS = 30
SETTLES_S = 5  # before the clock: broker and engine build code for small windows, once in a life
LONE = 30
NEARLY_FULL = 0.9  # of the rate


class Answered(NamedTuple):
    """A comment whose verdict was read: when it was sent, and how long that took, in seconds."""

    sent: float
    took_s: float


class Stopwatch:
    """Produces comments one by one and notes when the verdict of each can be read."""

    def __init__(self, broker: LocalBroker, name: str) -> None:
        servers = {"bootstrap.servers": broker.bootstrap_servers}
        self._topic = f"{name}.comments"
        self._producer = Producer(
            {**servers, "partitioner": "murmur2_random", "linger.ms": 0, "acks": "all"}
        )
        self._consumer = Consumer(
            {
                **servers,
                "group.id": f"{name}-reader",
                "isolation.level": "read_committed",
                "auto.offset.reset": "latest",
                "fetch.wait.max.ms": 10,
            }
        )
        self._consumer.subscribe([f"{name}.verdicts"])
        while not self._consumer.assignment():
            self._consumer.poll(0.1)
        self._sent: dict[bytes, float] = {}
        self.answered: list[Answered] = []

    def send(self, text: str) -> None:
        """Produce a comment, and start its clock."""
        key = f"l{len(self._sent)}"
        self._sent[key.encode()] = monotonic()
        self._producer.produce(self._topic, json.dumps({"id": key, "text": text}), key)
        self._producer.poll(0)

    def read(self, timeout_s: float) -> None:
        """Read a verdict, if there is one in time, and stop its comment's clock."""
        message = self._consumer.poll(timeout_s)
        if message is not None and message.error() is None:
            sent = self._sent.get(message.key() or b"")
            if sent is not None:
                self.answered.append(Answered(sent, monotonic() - sent))

    def all_answered(self) -> bool:
        """Say whether each comment's verdict was read."""
        return len(self.answered) == len(self._sent)

    def read_until(self, done: Callable[[], bool]) -> None:
        """Read until done."""
        while not done():
            self.read(0.02)

    def close(self) -> None:
        """Leave."""
        self._producer.flush()
        self._consumer.close()


def measure(broker: LocalBroker) -> dict[str, Any]:
    """Find the worker's rate, then play at half of it, then one by one."""
    source, texts = real_texts(20_000)
    name = "latency"
    settings = environment(broker, name)
    prepare_topics(settings)
    play(broker, f"{name}.comments", texts[:WARM_UP])
    with worker(settings, "-m", "deploy.cli", "worker") as run:
        await_records(run, WARM_UP, 120)
        rate = run.rate()
        half = rate / 2
        warm = len(run.windows)
        busy = _paced(broker, name, texts[WARM_UP:], half)
        windows = run.windows[warm:]
        lone = _one_by_one(broker, name, texts)
        nearly_full = _paced(broker, name, texts[WARM_UP:], NEARLY_FULL * rate)
    percentiles = quantiles(busy, n=100)
    return {
        "comments": source,
        "half_load_per_s": round(half, 1),
        "half_load_p50_ms": round(percentiles[49] * 1000),
        "half_load_p99_ms": round(percentiles[98] * 1000),
        "nearly_full_p99_ms": round(quantiles(nearly_full, n=100)[98] * 1000),
        **_simulated(windows, texts[WARM_UP : WARM_UP + len(busy)], half),
        "lone_p50_ms": round(median(lone) * 1000),
        "lone_max_ms": round(max(lone) * 1000),
    }


def _simulated(windows: list[dict[str, Any]], texts: list[str], per_s: float) -> dict[str, Any]:
    """Return what rooms cost, and the latencies that follow: `docs/capacity.md` rests on them."""
    settings = Settings()
    tokenise = tokeniser(open_bundle(settings.bundle, allow_unsigned=False), settings)
    tokens = np.array([sum(map(len, found.ids)) for found in tokenise(texts)])
    worker = measured_worker(windows, settings.intake.max_messages)
    waited = worker.latencies(poisson(per_s, len(texts), seed=1), tokens)
    p50, p99 = np.percentile(waited, (50, 99)) * 1000
    return {
        "tokens_a_comment": round(float(tokens.mean()), 1),
        "rooms_cost": {name: getattr(worker, name)._asdict() for name in ROOMS},
        "half_load_p50_simulated_ms": round(p50),
        "half_load_p99_simulated_ms": round(p99),
    }


def _paced(broker: LocalBroker, name: str, texts: list[str], per_s: float) -> list[float]:
    watch = Stopwatch(broker, name)
    start = monotonic()
    sent = 0
    while (passed := monotonic() - start) < SETTLES_S + SECONDS:
        while sent < passed * per_s:
            watch.send(texts[sent % len(texts)])
            sent += 1
        watch.read(0.002)
    end = monotonic() + 30
    watch.read_until(lambda: watch.all_answered() or monotonic() > end)
    watch.close()
    return [each.took_s for each in watch.answered if each.sent >= start + SETTLES_S]


def _one_by_one(broker: LocalBroker, name: str, texts: list[str]) -> list[float]:
    watch = Stopwatch(broker, name)
    pause = Event()
    for number in range(LONE):
        watch.send(texts[number])
        watch.read_until(watch.all_answered)
        pause.wait(0.3)
    watch.close()
    return [each.took_s for each in watch.answered]
