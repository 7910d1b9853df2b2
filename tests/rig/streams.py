"""Fixtures for tests on real streams: a broker that forgets dead workers fast, and streams on it.

A folder's conftest imports `broker` and `make_stream`; `fast_broker` is one for the whole run.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

import deploy.broker
from deploy.broker import LocalBroker, local_broker
from rig.stream import Stream

# A member that was killed is missed after a session; a broker's default is 45 s. A transaction
# that is over its time ends soon after it, and a log is compacted soon after it can be.
FAST_GROUPS = """\
group.consumer.min.session.timeout.ms=2500
group.consumer.session.timeout.ms=2500
group.consumer.min.heartbeat.interval.ms=400
group.consumer.heartbeat.interval.ms=400
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
log.cleaner.backoff.ms=500
"""


@contextmanager
def broker_with(properties: str) -> Iterator[LocalBroker]:
    """Run a broker with more properties than its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            deploy.broker, "SERVER_PROPERTIES", deploy.broker.SERVER_PROPERTIES + properties
        )
        with local_broker() as node:
            yield node


@pytest.fixture(scope="session")
def broker(fast_broker: LocalBroker) -> LocalBroker:
    """One Apache Kafka for all streams; each test names topics and a group of its own."""
    return fast_broker


@pytest.fixture
def make_stream(
    broker: LocalBroker, tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[int], Stream]:
    """Give a maker of streams of so many partitions, called like the test, and numbered."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name.removeprefix("test_"))[:80]

    numbers = count(1)

    def make(partitions: int) -> Stream:
        folder = tmp_path / f"stream-{next(numbers)}"
        folder.mkdir()
        number = folder.name.removeprefix("stream")
        return Stream(broker.bootstrap_servers, name + number, partitions, folder).create()

    return make
