"""The soak: steady load, a fault of chance every 20 s, for hours; memory, threads and a verdict.

    make soak ARGS="--hours 1 --seed 7"

Ends with 0 if all comments were judged, and `tidegate reconcile` proves that each was once. A
summary goes to stdout as JSON, behind those of earlier runs into --results, and a picture into
--picture.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from secrets import randbelow
from threading import Event, Thread
from time import monotonic
from typing import Any, Final, Self

import click
from confluent_kafka import KafkaException, Producer

from deploy.reconcile.findings import Answer
from faults.cluster import Cluster, cluster_of
from faults.crew import STEADY, Crew
from faults.deeds import Deeds
from faults.vitals import Sampling, Vitals
from rig.stream import Stream, Worker, _comment, eventually

KEYS: Final = 10_000
PULSE_S: Final = 0.1  # between two portions of the load
BACKLOG_S: Final = 120.0  # of load waits at the start: what a backlog costs, workers pay at once
TELL_S: Final = 30.0
PATIENCE_S: Final = 900.0  # to judge what is left when the load ends
SETTINGS: Final = {
    "TIDEGATE_INTAKE__MAX_MESSAGES": 500,
    "TIDEGATE_KAFKA__CLIENT__SOCKET_TIMEOUT_MS": 5_000,  # else half open means a minute
}


@dataclass
class Summary:
    """What a run came to; a line of the results."""

    date: str
    seed: int
    hours: float
    nodes: int
    workers: int
    comments: int
    not_judged: int
    faults: int
    answer: str
    counts: dict[str, int]
    faults_by_name: dict[str, int]
    ends: dict[str, int]
    rss_slope_mb_per_hour: float  # of the process that lived longest, after its first quarter
    rss_hours: float  # how long that was
    threads: tuple[int, int]
    findings: list[dict[str, Any]] = field(default_factory=list)


class Load:
    """A backlog, then comments at a steady rate, in a thread of its own, while the block lasts."""

    def __init__(self, stream: Stream, rate: int) -> None:
        self.produced = 0
        self._topic = stream.topics.comments
        self._rate = rate
        self._enough = Event()
        self._producer = Producer(
            {
                "bootstrap.servers": stream.servers,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "message.timeout.ms": 0,  # a broker may be away for long
                "queue.buffering.max.messages": 5_000_000,
                "log_level": 0,
            }
        )
        self._thread = Thread(target=self._publish, name="load")

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, when all of it is in Kafka."""
        self._enough.set()
        self._thread.join()
        assert self._producer.flush(PATIENCE_S) == 0, "comments could not be published"

    def _publish(self) -> None:
        started = monotonic() - BACKLOG_S
        while not self._enough.wait(PULSE_S):
            due = int((monotonic() - started) * self._rate)
            while self.produced < due:
                key = f"k{self.produced % KEYS}"
                self._producer.produce(self._topic, _comment(key, self.produced), key)
                self.produced += 1
            self._producer.poll(0)


class Soak:
    """One run."""

    def __init__(self, options: argparse.Namespace, cluster: Cluster, folder: Path) -> None:
        self._options = options
        self._cluster = cluster
        self._stream = cluster.stream(f"soak-{options.seed}", options.partitions, folder)
        self._random = Random(options.seed)  # noqa: S311 - faults are to be repeatable
        self._vitals = Vitals()
        self._faults: Counter[str] = Counter()

    def __call__(self) -> Summary:
        """Load and faults, then quiet, then the verdict."""
        with (
            Crew(self._start, self._options.workers) as crew,
            Sampling(self._vitals, crew.pids),
        ):
            with Load(self._stream, self._options.rate) as load:
                self._until_time_is_over(crew, load)
            say("the load is over; waiting until all is judged")
            not_judged = self._wait_until_judged(crew)
            crew.stop()
        say("reconciling")
        return self._summary(load.produced, not_judged, crew)

    def draw(self, file: Path) -> None:
        """Draw the picture."""
        options = self._options
        title = f"soak, seed {options.seed}: {sum(self._faults.values())} faults"
        self._vitals.draw(file, title)

    def _start(self, slot: str) -> Worker:
        return self._cluster.worker(self._stream, slot, **SETTINGS)

    def _until_time_is_over(self, crew: Crew, load: Load) -> None:
        deeds = Deeds(self._cluster, crew, self._random)
        end, told, quiet = monotonic() + self._options.hours * 3600, 0.0, Event()
        crew.workers[STEADY].wait_for("partitions assigned")
        while monotonic() < end:
            next_at = monotonic() + self._options.every
            name, bit = deeds.one()
            if bit:
                self._faults[name] += bit
                self._vitals.befell(name)
            crew.replace_the_dead()
            if monotonic() - told > TELL_S:
                told = monotonic()
                say(self._progress(load, crew))
            quiet.wait(max(0.0, min(next_at, end) - monotonic()))

    def _progress(self, load: Load, crew: Crew) -> str:
        latest = [s[-1] for s in self._vitals.samples.values() if s]
        memory = ", ".join(f"{sample.megabytes:.0f}" for sample in latest)
        by_itself = sum(n for end, n in crew.ends.items() if end.startswith("by itself"))
        return (
            f"{self._vitals.hours * 60:.1f} of {self._options.hours * 60:g} min: "
            f"{load.produced:,} comments, {self._lag()} to judge, "
            f"{self._faults.total()} faults, {by_itself} workers ended by themselves, "
            f"RSS {memory} MB"
        )

    def _lag(self) -> str:
        try:
            return f"{sum(self._stream.ends().values()) - sum(self._stream.committed().values()):,}"
        except (KafkaException, AssertionError):
            return "unknown"  # a broker is away

    def _wait_until_judged(self, crew: Crew) -> int:
        """Return how many comments are not, after all patience: a run that stands still is told."""
        for proxy in self._cluster.proxies:
            proxy.heal()
        end = left = sum(self._stream.ends().values())

        def judged() -> bool:
            nonlocal left
            crew.replace_the_dead()
            left = end - sum(self._stream.committed().values())
            return not left

        try:
            eventually(judged, self._stream.logs, PATIENCE_S)
        except AssertionError as stands_still:
            say(str(stands_still))
        return left

    def _summary(self, produced: int, not_judged: int, crew: Crew) -> Summary:
        report = self._stream.reconciled()
        found = report.as_json()
        return Summary(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            seed=self._options.seed,
            hours=round(self._options.hours, 3),
            nodes=len(self._cluster.nodes),
            workers=self._options.workers,
            comments=produced,
            not_judged=not_judged,
            faults=self._faults.total(),
            answer=str(report.answer),
            counts=found["counts"],
            faults_by_name=dict(self._faults),
            ends=dict(crew.ends),
            rss_slope_mb_per_hour=round(self._vitals.slope_mb_per_hour(STEADY), 2),
            rss_hours=round(self._vitals.hours_judged(STEADY), 2),
            threads=self._vitals.threads(STEADY),
            findings=[promise for promise in found["promises"] if promise["findings"]],
        )


def say(text: str) -> None:
    """Tell a person how far it is; stdout is for the summary."""
    click.echo(text, err=True)


def options_of(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--rate", type=int, default=500, help="comments a second")
    parser.add_argument("--workers", type=int, default=2, help="worker 0 is never killed")
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="brokers")
    parser.add_argument("--every", type=float, default=20.0, help="seconds from fault to fault")
    parser.add_argument("--seed", type=int, default=randbelow(1_000_000))
    parser.add_argument("--picture", type=Path, default=Path("soak.png"))
    parser.add_argument("--results", type=Path, help="a file of JSON lines to append to")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run a soak, and return the exit status."""
    options = options_of(arguments)
    say(f"seed {options.seed}: {options.hours:g} h, {options.rate} comments a second")
    with (
        tempfile.TemporaryDirectory(prefix="tidegate-soak-") as folder,
        cluster_of(options.nodes, options.seed) as cluster,
    ):
        soak = Soak(options, cluster, Path(folder))
        summary = soak()
        soak.draw(options.picture)
    line = json.dumps(asdict(summary))
    if options.results:
        with options.results.open("a", encoding="utf-8") as results:
            results.write(line + "\n")
    click.echo(line)
    return 0 if summary.answer == Answer.PROVEN and not summary.not_judged else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
