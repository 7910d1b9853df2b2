"""The stream without a model: a stub in place of tokeniser and scorer, one worker process.

Goal: exactly once, at least 20,000 comments a second on two cores with the broker on the
same two, memory flat; and what exactly once costs against at least once, in the same run.
"""

from statistics import median
from typing import Any

from benchmarks.cluster import await_records, environment, play, prepare_topics, worker
from deploy.broker import LocalBroker

COUNT = 200_000
ROUNDS = 3
WINDOW = "5000"
TEXT = "this is comment number {} and it is about as long as people write them, more or less"


def measure(broker: LocalBroker) -> dict[str, Any]:
    """Play the same comments through both ways of delivery, in turn."""
    rates: dict[str, list[float]] = {"exactly-once": [], "at-least-once": []}
    growth: list[float] = []
    for number in range(ROUNDS):
        for delivery, found in rates.items():
            name = f"stream-{delivery}-{number}"
            settings = environment(
                broker,
                name,
                TIDEGATE_PUBLISH__DELIVERY=delivery,
                TIDEGATE_INTAKE__MAX_MESSAGES=WINDOW,
                TIDEGATE_INTAKE__MAX_BYTES="10000000",
            )
            prepare_topics(settings)
            play(
                broker,
                settings["TIDEGATE_TOPICS__COMMENTS"],
                (TEXT.format(i) for i in range(COUNT)),
            )
            with worker(settings, "-m", "rig.stub_worker") as run:
                await_records(run, COUNT, 120)
            found.append(run.rate())
            half = len(run.memory_mb) // 2
            growth.append(max(run.memory_mb[half:]) / max(run.memory_mb[:half]))
    exactly, at_least = (median(rates[d]) for d in ("exactly-once", "at-least-once"))
    return {
        "exactly_once_per_s": round(exactly),
        "at_least_once_per_s": round(at_least),
        "exactly_once_goal": 20_000,
        "exactly_once_over_goal": round(exactly / 20_000, 2),
        "cost_of_exactly_once": round(1 - exactly / at_least, 3),
        "memory_second_half_over_first": round(max(growth), 3),
        "spread_per_s": {d: [round(min(r)), round(max(r))] for d, r in rates.items()},
    }
