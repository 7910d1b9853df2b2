"""What a broker may leave open, on a real one: how it is seen, and how it is ended."""

import gc
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from deploy.broker import LocalBroker
from deploy.topics import create_topics
from faults.proxy import Proxy
from rig.stream import PATIENCE_S, Stream, eventually
from schemas.errors import ClusterError
from worker.left_open import are_held_back, look
from worker.settings import KafkaSettings, Settings
from worker.shared import Shared, Stop
from worker.topics import admin_client
from worker.transactions import Transactions
from worker.window import Partition

pytestmark = pytest.mark.broker


@pytest.fixture
def settings(broker: LocalBroker, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Give the settings of a group with topics of its own, of two partitions each."""
    name = request.node.name.replace("_", "-")[:80]
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, group_id=name)
    topics = Stream(broker.bootstrap_servers, name, 2, tmp_path).topics
    found = Settings(kafka=kafka, topics=topics)
    for _ in create_topics(found, admin_client(found), 2, 1):
        pass
    return found


@pytest.fixture
def outsider(settings: Settings) -> Iterator[Consumer]:
    """Give a consumer that names the group and has not joined it."""
    properties = {
        "bootstrap.servers": settings.kafka.bootstrap_servers,
        "group.id": settings.kafka.group_id,
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
    }
    with closing(Consumer(properties)) as consumer:
        yield consumer


def nothing() -> None:
    """Beat for nobody."""


def test_an_offset_is_held_back_for_as_long_as_its_transaction_is_open(
    settings: Settings, outsider: Consumer
) -> None:
    """That of its partition alone."""
    first, second = (Partition(settings.topics.comments, number) for number in (0, 1))
    producer = Producer(
        {"bootstrap.servers": settings.kafka.bootstrap_servers, "transactional.id": "another"}
    )
    producer.init_transactions(PATIENCE_S)
    assert look(settings, None, 0.3, nothing) is False

    producer.begin_transaction()
    offsets = [TopicPartition(*first, 1)]
    producer.send_offsets_to_transaction(offsets, outsider.consumer_group_metadata(), PATIENCE_S)
    assert are_held_back(settings, None, 0.3, nothing)
    assert look(settings, [first], 0.3, nothing)
    assert not look(settings, [second], 0.3, nothing)

    producer.abort_transaction(PATIENCE_S)
    assert not look(settings, [first], 0.3, nothing)


def test_nothing_is_held_back_of_a_topic_that_was_deleted(settings: Settings) -> None:
    """Intake ends the worker by its name; nobody waits for it here."""
    topic = settings.topics.comments
    admin = admin_client(settings)
    admin.delete_topics([topic])[topic].result(PATIENCE_S)

    assert not look(settings, None, 0.3, nothing)


def test_a_cluster_that_does_not_tell_is_asked_until_the_asker_has_had_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be back at any moment; while draining there is an end to it."""
    monkeypatch.setattr("worker.left_open.ANSWER_S", 0.1)
    nowhere = Settings(kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    beats = iter([None, None])

    def beat() -> None:
        if next(beats, "enough") == "enough":
            raise ClusterError("enough")

    with pytest.raises(ClusterError, match="enough"):
        are_held_back(nowhere, [Partition("comments", 0)], 0.3, beat)


def test_a_broker_that_comes_back_between_two_looks_is_asked_again(
    settings: Settings, broker: LocalBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An AdminClient whose time was over, and that was not collected yet, ended the process."""
    monkeypatch.setattr("worker.left_open.ANSWER_S", 1.0)
    with ExitStack() as later:
        wire = Proxy(int(broker.bootstrap_servers.partition(":")[2]))  # takes connections, no more
        kafka = settings.kafka.model_copy(update={"bootstrap_servers": f"127.0.0.1:{wire.port}"})
        beyond = settings.model_copy(update={"kafka": kafka})
        places = [Partition(settings.topics.comments, 0)]
        gc.disable()
        later.callback(gc.enable)

        assert look(beyond, places, 0.3, nothing) is None
        later.enter_context(wire)
        assert not are_held_back(beyond, places, 0.3, nothing)


def test_what_is_ended_is_ended_on_every_partition_that_outcomes_go_to(
    settings: Settings, outsider: Consumer
) -> None:
    """A message and a marker stand there, and readers of committed records see neither."""
    transactions = Transactions(Shared(settings, Stop(1)))
    transactions.open()

    assert transactions.end_left_open()

    topics = settings.topics
    names = [topics.verdicts, topics.flags, topics.dead_letters, topics.feedback]
    places = [TopicPartition(name, number, 0) for name in names for number in (0, 1)]

    def ends() -> list[int]:  # for a reader of committed records: a marker may still be on its way
        return [
            outsider.get_watermark_offsets(place, PATIENCE_S, cached=False)[1] for place in places
        ]

    eventually(lambda: ends() == [2] * len(places), lambda: str(ends()))
    outsider.assign(places)
    seen = [outsider.poll(PATIENCE_S) for _ in places]
    assert all(message is not None and message.error() for message in seen)  # ends of partitions
