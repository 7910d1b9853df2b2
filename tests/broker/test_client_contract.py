"""What the worker takes for granted of confluent-kafka, and what changed between its releases.

A newer client that fails here needs a look at worker/intake.py before it may be pinned.
"""

from collections.abc import Iterator
from contextlib import closing
from threading import Event, Thread, current_thread
from time import monotonic

import confluent_kafka
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.broker import LocalBroker

pytestmark = pytest.mark.broker

TOPIC = "client-contract"
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def servers(broker: LocalBroker) -> str:
    """Give the address of a broker with ten records on a topic."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(PATIENCE_S)
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for number in range(10):
        producer.produce(TOPIC, b"%d" % number)
    assert producer.flush(PATIENCE_S) == 0
    return broker.bootstrap_servers


@pytest.fixture
def consumer(servers: str) -> Iterator[Consumer]:
    """Give a consumer that commits nothing by itself."""
    settings = {
        "bootstrap.servers": servers,
        "group.id": TOPIC,
        "group.protocol": "consumer",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    with closing(Consumer(settings)) as found:
        yield found


def test_the_client_is_the_one_that_was_tried() -> None:
    """Below 2.15 a member of KIP-848 that was slow died of it (librdkafka 5541)."""
    version, _ = confluent_kafka.libversion()

    assert version.startswith("2.16.")


def test_consume_waits_its_whole_time_for_companions(consumer: Consumer) -> None:
    """So the worker waits for one first, and then a little for more."""
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    first = consumer.consume(1, PATIENCE_S)
    start = monotonic()
    rest = consumer.consume(1_000, 1.0)

    assert [m.value() for m in first + rest] == [b"%d" % number for number in range(10)]
    assert monotonic() - start > 0.9


def test_callbacks_run_in_the_thread_that_consumes_and_may_ask_the_consumer(
    consumer: Consumer,
) -> None:
    """The group's metadata is read there: any other thread would wait for `consume()`."""
    seen = []

    def on_assign(asked: Consumer, partitions: list[TopicPartition]) -> None:
        start = monotonic()
        asked.consumer_group_metadata()
        seen.append((current_thread(), len(partitions), monotonic() - start))

    consumer.subscribe([TOPIC], on_assign=on_assign)
    deadline = monotonic() + PATIENCE_S
    while not seen and monotonic() < deadline:
        consumer.consume(1, 1.0)

    ((thread, partitions, seconds),) = seen
    assert thread is current_thread()
    assert partitions == 1
    assert seconds < 0.5


def test_another_thread_waits_for_consume_to_return(consumer: Consumer) -> None:
    """The gate of 2.16: a revocation that waits for such a thread would never end."""
    consumer.assign([TopicPartition(TOPIC, 0, 10)])
    begun, waited = Event(), []

    def ask() -> None:
        begun.wait(PATIENCE_S)
        start = monotonic()
        consumer.assignment()
        waited.append(monotonic() - start)

    thread = Thread(target=ask)
    thread.start()
    begun.set()
    consumer.consume(1, 1.5)
    thread.join()

    assert waited[0] > 0.5
