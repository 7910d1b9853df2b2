"""Brokers that can be hurt: one or three KRaft nodes, each with a proxy in front of it.

Each node has two listeners for clients. One is advertised as it is: test tools speak to the
broker itself, around the proxy. The other is advertised under the proxy's port: the workers'.
"""

import os
import re
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from confluent_kafka import ElectionType, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from deploy.broker import FORMAT_FLAGS, HOST, JVM_FLAGS, LOG_FLAGS, _cluster_id, _java, _Node
from deploy.kafka_install import kafka_jars
from deploy.keeper import Kept
from deploy.topics import create_topics
from faults.proxy import Proxy
from faults.report import Row
from rig.stream import PATIENCE_S, Stream, Worker, eventually
from worker.settings import KafkaSettings, Settings

TRANSACTIONS: Final = "__transaction_state"
OFFSETS: Final = "__consumer_offsets"

HEAP: Final = {"-Xms128m": "-Xms64m", "-Xmx512m": "-Xmx256m"}

# Logs of group offsets are compacted early: one of more than 16,384 records that is loaded twice at
# once after a restart loses offsets (Kafka 4.3.1; docs/delivery.md).
# Members that are gone are missed after 2.5 s, where a broker's default is 45 s. All else that
# takes time is as it comes: how long a cluster needs to move a leader is what is looked at.
PROPERTIES: Final = """\
process.roles=broker,controller
node.id={number}
listeners=DIRECT://{host}:{port},PROXIED://{host}:{upstream},CONTROLLER://{host}:{controller}
advertised.listeners=DIRECT://{host}:{port},PROXIED://{host}:{proxy},\
CONTROLLER://{host}:{controller}
listener.security.protocol.map=DIRECT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name={between}
controller.listener.names=CONTROLLER
controller.quorum.voters={voters}
log.dirs={log_dir}
auto.create.topics.enable=false
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.consumer.min.session.timeout.ms=2500
group.consumer.session.timeout.ms=2500
group.consumer.min.heartbeat.interval.ms=400
group.consumer.heartbeat.interval.ms=400
group.min.session.timeout.ms=2500
log.cleaner.dedupe.buffer.size=16777216
offsets.topic.segment.bytes=1048576
"""


class Node:
    """One broker of a cluster, with its controller.

    Args:
        number: from 1 on.
        folder: its own.
        proxy: stands in front of it.
        ports: its own, and its controller's.
    """

    def __init__(self, number: int, folder: Path, proxy: Proxy, ports: tuple[int, int]) -> None:
        self.number = number
        self.folder = folder
        self.proxy = proxy
        self.port, self.controller_port = ports
        self._class_path = ""
        self._jvm: Kept | None = None
        self._starts = 0
        (folder / "tmp").mkdir(parents=True)

    @property
    def direct(self) -> str:
        """Its address, around the proxy."""
        return f"{HOST}:{self.port}"

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self._jvm is not None

    @property
    def pid(self) -> int:
        """The JVM's process."""
        assert self._jvm is not None, f"node {self.number} does not run"
        return self._jvm.pid

    @property
    def log(self) -> Path:
        """Where this start of it logs."""
        return self.folder / f"broker-{self._starts}.log"

    def format(self, cluster_id: str, voters: str, nodes: int, between: str) -> None:
        """Write its properties, and make its folder that of an empty node."""
        self._class_path = os.pathsep.join(map(str, kafka_jars(lambda _: None)))
        properties = PROPERTIES.format(
            number=self.number,
            host=HOST,
            port=self.port,
            upstream=self.proxy.upstream,
            proxy=self.proxy.port,
            controller=self.controller_port,
            voters=voters,
            log_dir=self.folder / "kafka",
            replicas=nodes,
            in_sync=max(1, nodes - 1),
            between=between,
        )
        self._properties.write_text(properties)
        tool = [*FORMAT_FLAGS, "kafka.tools.StorageTool", "format", "--cluster-id", cluster_id]
        command = [*self._java, *tool, "--config", str(self._properties)]
        formatting = Kept(command, self.log)
        status = formatting.ended(PATIENCE_S)
        formatting.stop()
        assert status == 0, formatting.last_words()

    def start(self) -> None:
        """Start its JVM, and do not wait for it."""
        assert self._jvm is None, f"node {self.number} runs already"
        self._starts += 1
        flags = [HEAP.get(flag, flag) for flag in JVM_FLAGS]
        command = [*self._java, *flags, *LOG_FLAGS, "kafka.Kafka", str(self._properties)]
        self._jvm = Kept(command, self.log)

    def wait_until_it_answers(self) -> None:
        """Wait until it takes connections, begins transactions and forms groups."""
        assert self._jvm is not None, f"node {self.number} does not run"
        _Node(self._jvm, self.folder, self.port).wait_until_it_answers()

    def stop(self) -> None:
        """Stop it in good order."""
        if self._jvm is not None:
            jvm, self._jvm = self._jvm, None
            jvm.stop()

    def kill(self) -> None:
        """Kill it."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def freeze(self) -> None:
        """Stop its process from turning."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let its process turn again."""
        os.kill(self.pid, signal.SIGCONT)

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _java(self) -> list[str]:
        return _java(self.folder, self._class_path)


class Cluster:
    """Nodes of one cluster."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes

    @property
    def direct(self) -> str:
        """Bootstrap servers for test tools."""
        return ",".join(node.direct for node in self.nodes)

    @property
    def proxied(self) -> str:
        """Bootstrap servers for workers."""
        return ",".join(f"{HOST}:{node.proxy.port}" for node in self.nodes)

    @property
    def proxies(self) -> list[Proxy]:
        """The proxies in front of the nodes."""
        return [node.proxy for node in self.nodes]

    @property
    def node(self) -> Node:
        """The only node there is."""
        (only,) = self.nodes
        return only

    def start(self) -> None:
        """Start every node that does not run, and wait until all answer."""
        resting = [node for node in self.nodes if not node.runs]
        for node in resting:
            node.start()
        for node in resting:
            node.wait_until_it_answers()

    def stream(self, name: str, partitions: int, folder: Path) -> Stream:
        """Make the topics of a test, with as many replicas as there are nodes."""
        stream = Stream(self.direct, name, partitions, folder)
        kafka = KafkaSettings(bootstrap_servers=self.direct)
        settings = Settings(kafka=kafka, topics=stream.topics)
        for _ in create_topics(settings, stream.admin, partitions, len(self.nodes)):
            pass
        return stream

    def maker_of_streams(self, row: Row, folder: Path) -> Callable[[int], Stream]:
        """Return a maker of streams of so many partitions, called like a row's test."""
        name = re.sub(r"[^A-Za-z0-9]+", "-", row.test.partition("::test_")[2])[:80]
        return lambda partitions: self.stream(name, partitions, folder)

    def worker(self, stream: Stream, slot: str = "0", /, **settings: object) -> Worker:
        """Start a worker of a stream's group that speaks to the brokers through the proxies."""
        return stream.worker(slot, **{"TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": self.proxied} | settings)

    def leader_of(self, topic: str, partition: int) -> Node:
        """Return the node that leads a partition, as the cluster sees it now."""
        return self._numbered(self._partitions(topic)[partition].leader)

    def coordinator_of(self, topic: str, name: str) -> Node:
        """Return the coordinator of a group or a transactional id.

        It is the leader of the partition of an internal topic that the name's hash gives.

        Args:
            topic: OFFSETS or TRANSACTIONS.
            name: of the group, or the transactional id.
        """
        return self.leader_of(topic, _java_hash(name) % len(self._partitions(topic)))

    def elect_preferred_leaders(self) -> None:
        """Have each partition led by the first of its replicas again, with every node at work.

        Source: https://cwiki.apache.org/confluence/x/zQ3VBQ (KIP-460).
        """
        admin = AdminClient({"bootstrap.servers": self.direct, "log_level": 0})
        found = admin.elect_leaders(ElectionType.PREFERRED).result(PATIENCE_S)
        refused = {error.args[0].code() for error in found.values() if error}
        assert refused <= {KafkaError.ELECTION_NOT_NEEDED}, refused

    def wait_until_in_sync(self, topics: Sequence[str]) -> None:
        """Wait until every replica of these topics is in sync."""

        def in_sync() -> bool:
            partitions = [p for topic in topics for p in self._partitions(topic).values()]
            return all(len(p.isrs) == len(p.replicas) for p in partitions)

        eventually(in_sync, lambda: f"replicas of {', '.join(topics)} lag behind")

    def _partitions(self, topic: str) -> dict[int, Any]:
        admin = AdminClient({"bootstrap.servers": self.direct, "log_level": 0})
        found: dict[int, Any] = {}

        def answered() -> bool:
            try:
                found.update(admin.list_topics(topic, timeout=5).topics[topic].partitions)
            except KafkaException:
                return False
            return True

        eventually(answered, lambda: "no broker answers")
        return found

    def _numbered(self, number: int) -> Node:
        return next(node for node in self.nodes if node.number == number)


@contextmanager
def cluster_of(nodes: int, seed: int = 0, *, between: str = "DIRECT") -> Iterator[Cluster]:
    """Run a cluster for as long as the block lasts.

    Args:
        nodes: how many.
        seed: of the proxies.
        between: the listener over which brokers speak to each other, and each to itself.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="tidegate-cluster-")))
        ports = free_ports(3 * nodes)
        proxies = [stack.enter_context(Proxy(ports.pop(), seed + n)) for n in range(nodes)]
        found = [
            Node(number, folder / str(number), proxy, (ports.pop(), ports.pop()))
            for number, proxy in enumerate(proxies, 1)
        ]
        voters = ",".join(f"{node.number}@{HOST}:{node.controller_port}" for node in found)
        cluster_id = _cluster_id()
        for node in found:
            node.format(cluster_id, voters, nodes, between)
            stack.callback(node.stop)
        cluster = Cluster(found)
        cluster.start()
        yield cluster


@pytest.fixture(scope="session")
def one_node() -> Iterator[Cluster]:
    """Give one broker behind a proxy, for rows that do not need three."""
    with cluster_of(1) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def three_nodes() -> Iterator[Cluster]:
    """Give three brokers, each behind a proxy; tests that take them are `slow_faults`."""
    with cluster_of(3) as cluster:
        yield cluster


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses, each another."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def _java_hash(name: str) -> int:
    """Return what Java's `String.hashCode` and Kafka's `Utils.abs` make of a name."""
    found = 0
    for letter in name.encode("utf-16-be")[1::2]:  # names are ASCII
        found = (31 * found + letter) & 0xFFFFFFFF
    return found & 0x7FFFFFFF
