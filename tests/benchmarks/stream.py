"""The stream without the model: comments in Kafka to committed verdicts that cost nothing to score.

Exactly once in one process, the same with tokenising in it, two processes on the same partitions,
and what exactly once costs against at least once. All in turn, in one run. The goals are for two
cores with the broker on the same two (benchmarks/scoreboard.py).
"""

from contextlib import ExitStack
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.cluster import Run, await_all, environment, play, prepare_topics, worker
from deploy.broker import LocalBroker

COUNT = 400_000
ROUNDS = 3
WINDOW = "5000"
TEXT = "this is comment number {} and it is about as long as people write them, more or less"


class Way(NamedTuple):
    """One way to run it."""

    delivery: str
    processes: int
    arguments: tuple[str, ...]


WAYS: Final = {
    "exactly_once": Way("exactly-once", 1, ()),
    "at_least_once": Way("at-least-once", 1, ()),
    "with_tokenising": Way("exactly-once", 1, ("--tokenise",)),
    "two_processes": Way("exactly-once", 2, ()),
}


def measure(broker: LocalBroker) -> dict[str, Any]:
    """Play the same comments in each way, in turn."""
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    growth: list[float] = []
    for number in range(ROUNDS):
        for name, way in WAYS.items():
            runs = play_through(broker, f"stream-{name}-{number}", way)
            rates[name].append(rate_of(runs))
            growth += [second_half_over_first(run.memory_mb) for run in runs]
    found = {name: median(each) for name, each in rates.items()}
    once = found["exactly_once"]
    return {
        **{f"{name}_per_s": round(rate) for name, rate in found.items()},
        "two_processes_over_one": round(found["two_processes"] / once, 2),
        "cost_of_exactly_once": round(1 - once / found["at_least_once"], 3),
        "memory_second_half_over_first": round(max(growth), 3),
        "spread_per_s": {name: [round(min(r)), round(max(r))] for name, r in rates.items()},
    }


def play_through(broker: LocalBroker, name: str, way: Way) -> list[Run]:
    """Let workers judge a topic of COUNT comments, and return what each of them did."""
    settings = environment(
        broker,
        name,
        TIDEGATE_PUBLISH__DELIVERY=way.delivery,
        TIDEGATE_INTAKE__MAX_MESSAGES=WINDOW,
        TIDEGATE_INTAKE__MAX_BYTES="10000000",
    )
    prepare_topics(settings)
    play(broker, settings["TIDEGATE_TOPICS__COMMENTS"], (TEXT.format(i) for i in range(COUNT)))
    with ExitStack() as stack:
        runs = [
            stack.enter_context(
                worker(
                    {**settings, "TIDEGATE_SLOT": str(slot)},
                    *("-m", "benchmarks.blank_worker", *way.arguments),
                )
            )
            for slot in range(way.processes)
        ]
        await_all(runs, COUNT, 120)
    return runs


def rate_of(runs: list[Run]) -> float:
    """Return comments a second of workers together, from when the last of them had begun."""
    windows = sorted((window["at"], window["records"]) for run in runs for window in run.windows)
    if not all(run.windows for run in runs):
        raise RuntimeError("one of the workers was given no partition before all was judged")
    begun = max(run.windows[0]["at"] for run in runs)
    return float(sum(n for at, n in windows if at > begun) / (windows[-1][0] - begun))


def second_half_over_first(memory_mb: list[float]) -> float:
    """Return by what the peak of the second half is over that of the first."""
    half = len(memory_mb) // 2
    return max(memory_mb[half:]) / max(memory_mb[:half]) if half else 1.0
