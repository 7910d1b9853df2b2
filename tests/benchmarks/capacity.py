"""From a load, a worker and a price to pods, partitions and dollars: `docs/capacity.md`.

    PYTHONPATH=tests python -m benchmarks.capacity --per-day 1e9 --tokens-per-s 25000 --price 0.10

A worker is described by what its rooms cost; `make bench ARGS=latency` measures that. How long
comments wait is simulated.
"""

import argparse
from collections.abc import Sequence
from math import ceil
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulated import Cost, SimulatedWorker, poisson

DAY_S: Final = 86_400
COMMENTS: Final = 200_000  # simulated for each row
LOADS: Final = (0.5, 0.6, 0.7, 0.8, 0.9)
HEADROOM: Final = 2  # partitions for so many times the pods of today: their number is for ever

# Tokens of 20,000 comments of Jigsaw's, all of their pieces: shares of them, and how long those
# are at most.
SHARES: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 1.0)
TOKENS: Final = (3, 11, 26, 52, 103, 236, 372, 717, 959, 1_024)


class Load(NamedTuple):
    """What comes in: comments a day, and by how much the busiest hour is over the mean."""

    per_day: float
    peak: float

    @property
    def peak_per_s(self) -> float:
        """Comments a second in the busiest hour."""
        return self.per_day / DAY_S * self.peak


class Plan(NamedTuple):
    """What a load takes when no pod is loaded by more than a share of what it can bear."""

    share: float
    pods: int
    partitions: int
    dollars_a_million: float
    p50_ms: float
    p99_ms: float


def lengths(count: int, seed: int) -> NDArray[np.int64]:
    """Draw the tokens of so many comments."""
    drawn = np.random.default_rng(seed).uniform(size=count)
    return np.rint(np.interp(drawn, SHARES, TOKENS)).astype(np.int64)


def plan(load: Load, worker: SimulatedWorker, price: float, share: float) -> Plan:
    """Plan for the busiest hour; pods are paid for all day.

    Args:
        load: what comes in.
        worker: one pod.
        price: of a pod, in dollars an hour.
        share: of what a pod can bear that the busiest hour may take.
    """
    tokens = lengths(COMMENTS, seed=1)
    pods = ceil(load.peak_per_s / (worker.capacity(float(tokens.mean())) * share))
    arrivals = poisson(load.peak_per_s / pods, COMMENTS, seed=1)
    waited = worker.latencies(arrivals, tokens)
    p50, p99 = np.percentile(waited, (50, 99)) * 1000
    dollars = pods * price * 24 / (load.per_day / 1e6)
    return Plan(share, pods, HEADROOM * pods, dollars, float(p50), float(p99))


def table(load: Load, worker: SimulatedWorker, price: float) -> str:
    """Return the plans for several shares, as Markdown."""
    lines = [
        "| load of a pod, at most | pods | partitions | $ a million | p50 ms | p99 ms |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for share in LOADS:
        found = plan(load, worker, price, share)
        lines.append(
            f"| {found.share:.0%} | {found.pods:,} | {found.partitions:,} "
            f"| {found.dollars_a_million:.3f} | {found.p50_ms:.0f} | {found.p99_ms:.0f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity",
        description="From a load, a worker and a price to pods, partitions and dollars.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )

    def add(name: str, what: str, default: float | None = None) -> None:
        needed = default is None
        parser.add_argument(name, type=_positive, required=needed, default=default, help=what)

    add("--per-day", "comments a day")
    add("--peak", "the busiest hour over the mean", 2)
    add("--price", "dollars an hour of a pod")
    add("--tokens-per-s", "that the engine scores in large windows")
    add("--window-ms", "that the engine takes for a window beside its tokens", 5)
    add("--prepare-us", "that a comment takes to be decoded and tokenised", 150)
    add("--commit-ms", "that a transaction takes beside its comments", 25)
    add("--publish-us", "that a comment takes to be published", 20)
    parser.add_argument("--messages", type=_whole, default=500, help="in a window, at most")
    given = parser.parse_args(arguments)
    worker = SimulatedWorker(
        Cost(0.0, given.prepare_us / 1e6),
        Cost(given.window_ms / 1e3, 1 / given.tokens_per_s),
        Cost(given.commit_ms / 1e3, given.publish_us / 1e6),
        given.messages,
    )
    print(table(Load(given.per_day, given.peak), worker, given.price))


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


if __name__ == "__main__":
    main()
