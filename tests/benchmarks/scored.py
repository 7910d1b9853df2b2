"""The whole worker with the shipped bundle against the bare scorer, on the same comments.

The bare scorer has texts in a list and gives probabilities: tokenised and scored, a window at a
time, in a process of its own. Both in turn, in one run.
"""

import json
import subprocess
import sys
from statistics import median
from typing import Any

from benchmarks.cluster import TESTS, await_records, environment, play, prepare_topics, worker
from benchmarks.texts import real_texts
from deploy.broker import LocalBroker

COUNT = 4_000
ROUNDS = 3


def measure(broker: LocalBroker) -> dict[str, Any]:
    """Score the same comments with and without Kafka, in turn."""
    source, texts = real_texts(COUNT)
    bare: list[float] = []
    through_kafka: list[float] = []
    memory: list[float] = []
    for number in range(ROUNDS):
        bare.append(bare_scorer())
        name = f"scored-{number}"
        settings = environment(broker, name)
        prepare_topics(settings)
        play(broker, f"{name}.comments", texts)
        with worker(settings, "-m", "deploy.cli", "worker") as run:
            await_records(run, COUNT, 300)
        through_kafka.append(run.rate())
        memory.append(max(run.memory_mb))
    ratios = [k / b for k, b in zip(through_kafka, bare, strict=True)]
    return {
        "comments": source,
        "bare_scorer_per_s": round(median(bare), 1),
        "through_kafka_per_s": round(median(through_kafka), 1),
        "ratio": round(median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "worker_peak_mb": round(max(memory)),
    }


def bare_scorer() -> float:
    """Return the bare scorer's comments a second, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bare_scorer", str(COUNT)],
        cwd=TESTS,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(json.loads(done.stdout)["comments_per_s"])
