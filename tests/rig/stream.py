"""A stream of one test: topics and a group of its own, workers as processes, and its checker."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPConnection
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any, Self

import psutil
from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
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

from deploy.reconcile.findings import Answer
from deploy.reconcile.report import Report
from deploy.reconcile.run import reconcile
from deploy.reconcile.since import Since
from deploy.topics import create_topics
from rig.checker import Outcomes, violations
from rig.watch import Watch
from worker.intake import _record
from worker.settings import KafkaSettings, PublishSettings, Settings, TopicSettings
from worker.window import Record

TESTS = Path(__file__).parent.parent
PATH = os.pathsep.join([str(TESTS), str(TESTS.parent)])  # the tree that these tests stand in
PATIENCE_S = 60.0  # two cores, shared
TICK_S = 0.05

# What a client hears that still believes in the leaders of a moment ago.
MOVED = frozenset(
    {
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError._NOENT,  # noqa: SLF001 - a public constant: no leader is known yet
        KafkaError._TRANSPORT,  # noqa: SLF001 - a public constant
        KafkaError._TIMED_OUT,  # noqa: SLF001 - a public constant
    }
)

WHOLE = Since()  # all that is there


def _nothing() -> None: ...


def eventually(
    what: Callable[[], bool],
    why: Callable[[], str] = str,
    within_s: float = PATIENCE_S,
    tick_s: float = TICK_S,
) -> None:
    """Wait until something is so; fail with `why` when it is not so in time."""
    deadline, tick = monotonic() + within_s, Event()
    while not what():
        if monotonic() > deadline:
            raise AssertionError(f"not so within {within_s:g} s; {why()}")
        tick.wait(tick_s)


class Worker:
    """A worker as a process, the stub by default; its log, JSON lines on stderr, goes to a file."""

    def __init__(
        self,
        environment: Mapping[str, str],
        log: Path,
        command: Sequence[str] = ("rig.stub_worker",),
    ) -> None:
        self._log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
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
        return [json.loads(line) for line in self.said.splitlines() if _is_named(line, name)]

    def wait_for(self, name: str, times: int = 1, within_s: float = PATIENCE_S) -> None:
        """Wait until it has logged an event so many times."""

        def logged() -> bool:
            lines = self.said.splitlines()
            if sum(_is_named(line, name) for line in lines) >= times:
                return True
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}: {self.said[-2000:]}")
            return False

        eventually(logged, lambda: f"no {times} times {name!r} in: {self.said[-2000:]}", within_s)

    def owned(self) -> set[int]:
        """Return the numbers of the partitions that it holds, by its log."""
        ours: set[int] = set()
        for line in self.said.splitlines():
            if _is_named(line, "partitions assigned"):
                ours |= set(json.loads(line)["partitions"])
            elif _is_named(line, "partitions revoked") or _is_named(line, "partitions lost"):
                ours -= set(json.loads(line)["partitions"])
        return ours

    def probe(self, path: str) -> tuple[int, str]:
        """Ask its health port, as a kubelet would, and return status and text."""
        (started,) = self.events("worker started")
        connection = HTTPConnection("127.0.0.1", started["health_port"], timeout=5)
        with closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def figure(self, name: str) -> float:
        """Return a figure without labels, as Prometheus reads it."""
        _, text = self.probe("/metrics")
        (line,) = (line for line in text.splitlines() if line.startswith(f"{name} "))
        return float(line.split()[1])

    def send(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait_until_stopped(self) -> None:
        """Wait until SIGSTOP has come over it, or it has ended by itself before."""
        eventually(
            lambda: (
                self.process.poll() is not None
                or psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED
            ),
            lambda: self.said[-2000:],
        )

    def ended(self, within_s: float = PATIENCE_S) -> int:
        """Wait for its end and return its status."""
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it did not end in {within_s} s: {self.said[-2000:]}") from error

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
    watches: list[Watch] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)  # as they were started

    @property
    def topics(self) -> TopicSettings:
        """The topics' names, the test's own."""
        names = ("comments", "verdicts", "flags", "dead_letters", "feedback", "policies")
        return TopicSettings(**{n: f"{self.name}-{n.replace('_', '-')}" for n in names})

    @property
    def outcome_topics(self) -> tuple[str, str, str]:
        """The topics that workers publish on."""
        return self.topics.verdicts, self.topics.flags, self.topics.dead_letters

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
                "queue.buffering.max.messages": 1_000_000,
                "compression.type": "lz4",
                "message.max.bytes": 2_000_000,  # before compression
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

    def worker(self, slot: str = "0", /, *command: str, **settings: object) -> Worker:
        """Start a worker of the test's group.

        Args:
            slot: its name in the group.
            command: another module than the stub, and its arguments.
            settings: for its environment.
        """
        ours = {
            "KAFKA__BOOTSTRAP_SERVERS": self.servers,
            "KAFKA__GROUP_ID": self.name,
            "SLOT": slot,
            "INTAKE__MAX_MESSAGES": "100",
            "HEALTH__PORT": "0",
            "LOG__FORMAT": "json",
            "SCORING__CRASH_RECORD": str(self.folder / f"crashes-{slot}.json"),
            **{f"TOPICS__{name.upper()}": topic for name, topic in self.topics},
        }
        environment = {name: v for name, v in os.environ.items() if not name.startswith("TIDEGATE")}
        environment |= {f"TIDEGATE_{name}": value for name, value in ours.items()}
        environment |= {name: str(value) for name, value in settings.items()}
        log = self.folder / f"worker-{len(self.workers)}.log"
        command = command or ("rig.stub_worker",)
        self.workers.append(Worker(environment | {"PYTHONPATH": PATH}, log, command))
        return self.workers[-1]

    # -- outcomes

    def ends(self) -> dict[int, int]:
        """Return the offset after the last comment of each partition, markers included."""
        found = self._latest([self.topics.comments], IsolationLevel.READ_COMMITTED)
        return {number: offset for (_, number), offset in found.items()}

    def committed(self) -> dict[int, int]:
        """Return the group's offsets; 0 where there is none."""
        with closing(self._looker_on()) as consumer:
            return self._committed(consumer)

    def wait_until_judged(self, meanwhile: Callable[[], None] = _nothing) -> None:
        """Wait until the group has committed every comment that is there."""
        ends = self.ends()

        def judged() -> bool:
            meanwhile()
            return self._committed(consumer) == ends

        with closing(self._looker_on()) as consumer:
            eventually(judged, lambda: f"{ends}; {self.logs()}")

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

    def watch(self) -> Watch:
        """Have a reader look on from now on; `check` holds what it saw against the end."""
        comments, outcomes = self.topics.comments, self.outcome_topics
        watch = Watch(self.servers, self.name, comments, outcomes, self.partitions)
        self.watches.append(watch)
        return watch

    def outcomes(self) -> Outcomes:
        """Read all that was published, once every transaction has ended."""
        found = self._read(self.outcome_topics)
        return Outcomes(*(found[topic] for topic in self.outcome_topics))

    def read(self, topic: str, *, committed: bool = True) -> list[Record]:
        """Read a topic from its beginning to its end, partition by partition.

        Args:
            topic: a name.
            committed: False: with the records of aborted transactions.
        """
        return self._read([topic], committed=committed)[topic]

    def _read(self, topics: Sequence[str], *, committed: bool = True) -> dict[str, list[Record]]:
        eventually(lambda: self.no_transaction_is_open(topics), lambda: "a transaction hangs")
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

    def no_transaction_is_open(self, topics: Sequence[str] = ()) -> bool:
        """Say whether a read-committed reader sees all of these topics; by default all outcomes."""
        topics = topics or self.outcome_topics
        isolations = (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
        committed, all_of_it = (self._latest(topics, isolation) for isolation in isolations)
        return committed == all_of_it

    def _latest(
        self, topics: Sequence[str], isolation: IsolationLevel
    ) -> dict[tuple[str, int], int]:
        places = [TopicPartition(t, n) for t in topics for n in range(self.partitions)]
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        found: dict[tuple[str, int], int] = {}

        def answered() -> bool:
            asked = self.admin.list_offsets(
                dict.fromkeys(places, latest), isolation_level=isolation
            )
            try:
                for place, answer in asked.items():
                    found[place.topic, place.partition] = answer.result(PATIENCE_S).offset
            except KafkaException as error:
                if error.args[0].code() not in MOVED:
                    raise
                del self.admin  # another one learns anew who leads
                return False
            return True

        eventually(answered, lambda: "no leader answers")
        return found

    def alter(self, topic: str, name: str, value: str) -> None:
        """Change a topic's setting while it is in use."""
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        for future in self.admin.incremental_alter_configs([resource]).values():
            future.result(PATIENCE_S)

    def check(self, *, repeats: bool = False) -> Outcomes:
        """Hold all that was published against all that came in, and was committed to its end.

        Args:
            repeats: they may occur, as at least once; each has the id of the first.
        """
        outcomes = self.outcomes()
        broken = self.broken(outcomes, repeats=repeats)
        assert not broken, "\n".join([*broken, self.logs()])
        return outcomes

    def broken(self, outcomes: Outcomes, *, repeats: bool = False) -> list[str]:
        """Return every promise that these outcomes break."""
        comments = self.read(self.topics.comments)
        return [
            *violations(comments, outcomes, repeats=repeats),
            *self._not_committed_to_the_end(comments),
            *(broken for watch in self.watches for broken in self._seen_otherwise(watch, outcomes)),
        ]

    def reconciled(
        self, since: Since = WHOLE, topics: TopicSettings | None = None, **publish: str
    ) -> Report:
        """Have `tidegate reconcile` look at it, the checker that users have."""
        settings = Settings(
            kafka=KafkaSettings(bootstrap_servers=self.servers, group_id=self.name),
            topics=topics or self.topics,
            publish=PublishSettings.model_validate(publish),
        )
        return reconcile(settings, since, lambda _: None)

    def prove(self) -> None:
        """Fail unless `tidegate reconcile` proves it all."""
        report = self.reconciled()
        assert report.answer is Answer.PROVEN, "\n".join(report.lines())

    def aborted(self) -> int:
        """Return how many verdicts were written and aborted: the faults that bit (I9)."""
        everything = self.read(self.topics.verdicts, committed=False)
        return len(everything) - len(self.read(self.topics.verdicts))

    def _not_committed_to_the_end(self, comments: Sequence[Record]) -> Iterator[str]:
        last = {record.partition.number: record.offset + 1 for record in comments}
        if (committed := {n: o for n, o in self.committed().items() if o}) != last:
            yield f"I4 committed is {committed}, the comments end at {last}"

    def _seen_otherwise(self, watch: Watch, outcomes: Outcomes) -> Iterator[str]:
        records = [*outcomes.verdicts, *outcomes.flags, *outcomes.dead_letters]
        eventually(lambda: watch.has_seen(len(records)), lambda: "the onlooker is behind")
        yield from watch.violations(records)


def _is_named(line: str, name: str) -> bool:
    """Say whether a log line is of this name."""
    return f'"event": "{name}"' in line


@contextmanager
def comments_all_the_while(stream: Stream, most: int, at_a_time: int = 20) -> Iterator[Event]:
    """Publish comments every now and then while the block lasts, at most so many.

    Args:
        stream: to publish on.
        most: at most so many.
        at_a_time: comments every TICK_S.
    """
    enough = Event()

    def steadily() -> Iterator[int]:
        for number in range(most):
            if number % at_a_time == 0 and enough.wait(TICK_S):
                return
            yield number

    def publish() -> None:
        stream.produce_comments(steadily())

    thread = Thread(target=publish)
    thread.start()
    try:
        yield enough
    finally:
        enough.set()
        thread.join()


def _comment(comment_id: str, number: int) -> bytes:
    return json.dumps({"id": comment_id, "text": f"comment {number}", "revision": number}).encode()
