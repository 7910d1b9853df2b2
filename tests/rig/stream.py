"""A stream of one test: topics and a group of its own, workers as processes, and its checker."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, Self

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    OffsetSpec,
    ResourceType,
)

from deploy.topics import create_topics
from rig.checker import Outcomes, first_of_repeats, violations
from worker.intake import _record
from worker.settings import KafkaSettings, Settings, TopicSettings
from worker.window import Record

TESTS = Path(__file__).parent.parent
PATH = os.pathsep.join([str(TESTS), str(TESTS.parent)])  # the tree that these tests stand in
PATIENCE_S = 60.0  # two cores, shared
TICK_S = 0.05


def eventually(
    what: Callable[[], bool], why: Callable[[], str] = str, within_s: float = PATIENCE_S
) -> None:
    """Wait until something is so; fail with `why` when it is not so in time."""
    deadline, tick = monotonic() + within_s, Event()
    while not what():
        if monotonic() > deadline:
            raise AssertionError(f"not so within {within_s:g} s; {why()}")
        tick.wait(TICK_S)


class Worker:
    """A stub worker as a process; its log, JSON lines on stderr, goes to a file."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rig.stub_worker"],
                env=environment,
                cwd=TESTS,
                stderr=file,
                stdout=file,
            )

    def __enter__(self) -> Self:
        """Give the running worker."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it if it still runs."""
        self.process.kill()
        self.process.wait()

    @property
    def said(self) -> str:
        """All that it logged so far."""
        return self._log.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return its log lines of one name."""
        lines = [line for line in self.said.splitlines() if line.startswith("{")]
        return [found for line in lines if (found := json.loads(line)).get("event") == name]

    def wait_for(self, name: str, times: int = 1) -> None:
        """Wait until it has logged an event so many times."""

        def logged() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}: {self.said[-2000:]}")
            return len(self.events(name)) >= times

        eventually(logged, lambda: f"no {times} times {name!r} in: {self.said[-2000:]}")

    def ended(self, within_s: float = PATIENCE_S) -> int:
        """Wait for its end and return its status."""
        return self.process.wait(within_s)

    def stop(self, within_s: float = PATIENCE_S) -> int:
        """Ask it to end and return its status."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended(within_s)


@dataclass
class Stream:
    """The topics of one test. Its comments are read back from Kafka, never remembered."""

    servers: str
    name: str
    partitions: int
    folder: Path

    @property
    def topics(self) -> TopicSettings:
        """The topics' names, the test's own."""
        names = ("comments", "verdicts", "flags", "dead_letters", "feedback", "policies")
        return TopicSettings(**{n: f"{self.name}-{n.replace('_', '-')}" for n in names})

    @cached_property
    def admin(self) -> AdminClient:
        """A client that may do anything."""
        return AdminClient({"bootstrap.servers": self.servers, "log_level": 0})

    def create(self) -> Self:
        """Make the topics as `tidegate topics create` does."""
        settings = Settings(kafka=KafkaSettings(bootstrap_servers=self.servers), topics=self.topics)
        for _ in create_topics(settings, self.admin, self.partitions, 1):
            pass
        return self

    # -- comments in

    def produce(self, records: Iterable[tuple[bytes | None, bytes | None, Any]]) -> None:
        """Publish records of key, value and headers, as a Java client would place them."""
        producer = Producer(
            {
                "bootstrap.servers": self.servers,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 5,
            }
        )
        for key, value, headers in records:
            producer.produce(self.topics.comments, value, key, headers=headers)
        assert producer.flush(PATIENCE_S) == 0

    def produce_comments(self, numbers: Iterable[int], keys: int = 50) -> None:
        """Publish numbered comments under a number of keys that come again and again."""
        self.produce(
            (key := f"k{n % keys}".encode(), _comment(key.decode(), n), []) for n in numbers
        )

    # -- workers

    def worker(self, slot: str = "0", /, **settings: object) -> Worker:
        """Start a worker of the test's group."""
        ours = {
            "KAFKA__BOOTSTRAP_SERVERS": self.servers,
            "KAFKA__GROUP_ID": self.name,
            "SLOT": slot,
            "INTAKE__MAX_MESSAGES": "100",
            "HEALTH__PORT": "0",
            "LOG__FORMAT": "json",
            **{f"TOPICS__{name.upper()}": topic for name, topic in self.topics},
        }
        environment = {name: v for name, v in os.environ.items() if not name.startswith("TIDEGATE")}
        environment |= {f"TIDEGATE_{name}": value for name, value in ours.items()}
        environment |= {name: str(value) for name, value in settings.items()}
        number = len(list(self.folder.glob("worker-*.log")))
        return Worker(environment | {"PYTHONPATH": PATH}, self.folder / f"worker-{number}.log")

    # -- outcomes

    def ends(self) -> dict[int, int]:
        """Return the offset after the last comment of each partition, markers included."""
        found = self._latest([self.topics.comments], IsolationLevel.READ_COMMITTED)
        return {number: offset for (_, number), offset in found.items()}

    def committed(self) -> dict[int, int]:
        """Return the group's offsets; 0 where there is none."""
        with closing(self._looker_on()) as consumer:
            return self._committed(consumer)

    def wait_until_judged(self) -> None:
        """Wait until the group has committed every comment that is there."""
        ends = self.ends()
        with closing(self._looker_on()) as consumer:
            eventually(lambda: self._committed(consumer) == ends, lambda: f"{ends}; {self.logs()}")

    def _looker_on(self) -> Consumer:
        """Return a consumer that may ask for the group's offsets and never joins it."""
        return Consumer({"bootstrap.servers": self.servers, "group.id": self.name})

    def _committed(self, consumer: Consumer) -> dict[int, int]:
        wanted = [TopicPartition(self.topics.comments, n) for n in range(self.partitions)]
        return {p.partition: max(0, p.offset) for p in consumer.committed(wanted, PATIENCE_S)}

    def logs(self) -> str:
        """Return the end of each worker's log, for an assertion's message."""
        return "\n".join(
            f"{path.name}: {path.read_text()[-1500:]}" for path in self.folder.glob("worker-*.log")
        )

    def outcomes(self) -> Outcomes:
        """Read all that was published, once every transaction has ended."""
        topics = self.topics
        found = self._read([topics.verdicts, topics.flags, topics.dead_letters])
        return Outcomes(found[topics.verdicts], found[topics.flags], found[topics.dead_letters])

    def read(self, topic: str, *, committed: bool = True) -> list[Record]:
        """Read a topic from its beginning to its end, partition by partition.

        Args:
            topic: a name.
            committed: False: with the records of aborted transactions.
        """
        return self._read([topic], committed=committed)[topic]

    def _read(self, topics: Sequence[str], *, committed: bool = True) -> dict[str, list[Record]]:
        eventually(lambda: self._no_transaction_is_open(topics), lambda: "a transaction hangs")
        settings = {
            "bootstrap.servers": self.servers,
            "group.id": f"{self.name}-reader",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
        }
        places = [TopicPartition(t, n, 0) for t in topics for n in range(self.partitions)]
        open_ends = {(place.topic, place.partition) for place in places}
        records: dict[str, list[Record]] = {topic: [] for topic in topics}
        with closing(Consumer(settings)) as consumer:
            consumer.assign(places)

            def all_is_read() -> bool:
                for message in consumer.consume(10_000, TICK_S):
                    error, topic = message.error(), message.topic() or ""
                    if error is None:
                        records[topic].append(_record(message))
                    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - a public constant
                        open_ends.discard((topic, message.partition() or 0))
                    else:
                        raise AssertionError(f"{topic}: {error.str()}")
                return not open_ends

            eventually(all_is_read, lambda: f"no end of {sorted(open_ends)}")
        for found in records.values():
            found.sort(key=lambda record: (record.partition.number, record.offset))
        return records

    def _no_transaction_is_open(self, topics: Sequence[str]) -> bool:
        isolations = (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
        committed, all_of_it = (self._latest(topics, isolation) for isolation in isolations)
        return committed == all_of_it

    def _latest(
        self, topics: Sequence[str], isolation: IsolationLevel
    ) -> dict[tuple[str, int], int]:
        places = [TopicPartition(t, n) for t in topics for n in range(self.partitions)]
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = dict.fromkeys(places, latest)
        found = self.admin.list_offsets(wanted, isolation_level=isolation)
        return {(p.topic, p.partition): o.result(PATIENCE_S).offset for p, o in found.items()}

    def alter(self, topic: str, name: str, value: str) -> None:
        """Change a topic's setting while it is in use."""
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        for future in self.admin.incremental_alter_configs([resource]).values():
            future.result(PATIENCE_S)

    def check(self, *, repeats: bool = False) -> Outcomes:
        """Hold all that was published against all that came in.

        Args:
            repeats: they may occur, as at least once; each has the id of the first.
        """
        comments = self.read(self.topics.comments)
        outcomes = self.outcomes()
        kept = first_of_repeats(outcomes) if repeats else outcomes
        assert violations(comments, kept) == [], self.logs()
        return outcomes


@contextmanager
def comments_all_the_while(stream: Stream, most: int) -> Iterator[Event]:
    """Publish a comment every now and then while the block lasts, at most so many."""
    from threading import Thread  # noqa: PLC0415

    enough = Event()

    def publish() -> None:
        for start in range(0, most, 20):
            if enough.is_set():
                return
            stream.produce_comments(range(start, start + 20))
            enough.wait(TICK_S)

    thread = Thread(target=publish)
    thread.start()
    try:
        yield enough
    finally:
        enough.set()
        thread.join()


def _comment(comment_id: str, number: int) -> bytes:
    return json.dumps({"id": comment_id, "text": f"comment {number}", "revision": number}).encode()
