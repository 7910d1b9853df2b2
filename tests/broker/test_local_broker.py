"""The local broker: it is a real one, it keeps its data, and it never outlives its parent."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from deploy.broker import LocalBroker, local_broker
from schemas.errors import BrokerError

pytestmark = pytest.mark.broker

PATIENCE_S = 60.0
IN_THE_FOREGROUND = "from deploy.broker import serve; serve(0, None)"
HELD_IN_A_BLOCK = """
from threading import Event
from deploy.broker import local_broker
with local_broker() as node:
    print(node.pid, node.data, flush=True)
    Event().wait()
"""


def make_topic(bootstrap_servers: str, name: str) -> None:
    """Create a topic of one partition and wait until it is there."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(PATIENCE_S)


def produce_in_a_transaction(bootstrap_servers: str, topic: str, value: bytes) -> None:
    """Publish one record and commit it."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "transactional.id": topic})
    producer.init_transactions(PATIENCE_S)
    producer.begin_transaction()
    producer.produce(topic, value)
    producer.commit_transaction(PATIENCE_S)


def consume_one(bootstrap_servers: str, topic: str) -> bytes | None:
    """Return the value of the first committed record, as a new group sees it."""
    settings = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": f"reader-of-{topic}",
        "group.protocol": "consumer",
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
    }
    with closing(Consumer(settings)) as consumer:
        consumer.subscribe([topic])
        message = consumer.poll(PATIENCE_S)
        return message.value() if message else None


def wait_until_gone(pid: int) -> bool:
    """Return whether a process ended, or is a zombie that nobody reaps, in PATIENCE_S."""
    deadline, tick = time.monotonic() + PATIENCE_S, Event()
    while time.monotonic() < deadline:
        state = subprocess.run(
            ["/bin/ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
        ).stdout.strip()
        if not state or state.startswith("Z"):
            return True
        tick.wait(0.05)
    return False


def parent_of(pid: int) -> int:
    """Return the id of a process's parent."""
    return int(subprocess.check_output(["/bin/ps", "-o", "ppid=", "-p", str(pid)]))


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Give a process that holds a broker of its own; its first line is the JVM's id and folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HELD_IN_A_BLOCK],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    with process:
        yield process
        process.kill()


def jvm_and_folder(parent: subprocess.Popen[str]) -> tuple[int, Path]:
    """Wait until the parent's broker answers and say where it is."""
    line = parent.stdout.readline() if parent.stdout else ""
    pid, folder = line.split()
    return int(pid), Path(folder)


def test_a_committed_record_reaches_a_group_that_the_broker_assigns(broker: LocalBroker) -> None:
    """Transactions and the KIP-848 group protocol work as on a real cluster, since it is one."""
    make_topic(broker.bootstrap_servers, "round-trip")

    produce_in_a_transaction(broker.bootstrap_servers, "round-trip", b"hello")

    assert consume_one(broker.bootstrap_servers, "round-trip") == b"hello"


def test_a_second_start_finds_the_data_of_the_first_on_another_port(tmp_path: Path) -> None:
    """The folder is formatted once; topics and records are there again."""
    with local_broker(data=tmp_path) as first:
        make_topic(first.bootstrap_servers, "kept")
        produce_in_a_transaction(first.bootstrap_servers, "kept", b"still here")

    with local_broker(data=tmp_path) as second:
        assert second.bootstrap_servers != first.bootstrap_servers
        assert consume_one(second.bootstrap_servers, "kept") == b"still here"


def test_a_folder_in_use_is_refused_by_name(broker: LocalBroker) -> None:
    """Two brokers on one folder would ruin it; the error names who has it."""
    with (
        pytest.raises(BrokerError, match=broker.bootstrap_servers) as caught,
        local_broker(data=broker.data),
    ):
        pass

    assert str(broker.data) in caught.value.what
    assert "--data" in (caught.value.hint or "")


def test_a_port_in_use_is_refused_by_number(tmp_path: Path) -> None:
    """The error comes before anything is fetched or started."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(BrokerError, match=f"port {port} .*in use") as caught,
            local_broker(port, tmp_path),
        ):
            pass

    assert "--port" in (caught.value.hint or "")


def test_a_port_that_cannot_be_is_refused() -> None:
    """A number that is no port is an error of the same kind."""
    with pytest.raises(BrokerError, match=r"port 70000 .*65535"), local_broker(70_000):
        pass


def test_a_folder_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    """The path that was asked for is in the error."""
    (tmp_path / "file").touch()

    with (
        pytest.raises(BrokerError, match="file/data` cannot be written"),
        local_broker(data=tmp_path / "file" / "data"),
    ):
        pass


def test_a_jvm_that_dies_shows_the_end_of_its_log(tmp_path: Path) -> None:
    """A folder that Kafka refuses: its own words are in the error, at once."""
    (tmp_path / "kafka").mkdir()

    with (
        pytest.raises(BrokerError, match=r"ended by itself[\s\S]*meta\.properties"),
        local_broker(data=tmp_path),
    ):
        pass


def test_a_temporary_folder_goes_with_the_broker() -> None:
    """Without --data nothing stays behind."""
    with local_broker() as node:
        assert node.data.is_dir()

    assert not node.data.exists()
    assert wait_until_gone(node.pid)


def test_a_killed_parent_takes_the_broker_and_its_temporary_folder_along(
    parent: subprocess.Popen[str],
) -> None:
    """SIGKILL leaves a parent no time to say anything; the JVM goes all the same."""
    jvm, folder = jvm_and_folder(parent)
    keeper = parent_of(jvm)

    parent.kill()

    assert wait_until_gone(jvm)
    assert wait_until_gone(keeper)
    assert not folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_killed_keeper_takes_the_broker_along(parent: subprocess.Popen[str]) -> None:
    """The process between parent and JVM has no time either; the kernel does it."""
    jvm, _ = jvm_and_folder(parent)

    os.kill(parent_of(jvm), signal.SIGKILL)

    assert wait_until_gone(jvm)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_prints_the_servers_and_ends_on_a_signal(number: signal.Signals) -> None:
    """`tidegate broker`: one line of data on stdout, 0 when it was asked to end."""
    with subprocess.Popen(
        [sys.executable, "-c", IN_THE_FOREGROUND],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        servers = process.stdout.readline().strip() if process.stdout else ""
        metadata = AdminClient({"bootstrap.servers": servers}).list_topics(timeout=PATIENCE_S)
        process.send_signal(number)
        rest, errors = process.communicate(timeout=PATIENCE_S)

    assert list(metadata.brokers) == [1]
    assert rest == ""
    assert "Ctrl-C" in errors
    assert process.returncode == 0
