"""A stream for each test, on one broker that forgets dead workers fast."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import deploy.broker
from deploy.broker import LocalBroker, local_broker
from rig.stream import Stream

# A member that was killed is missed after a session; a broker's default is 45 s.
FAST_GROUPS = """\
group.consumer.min.session.timeout.ms=2500
group.consumer.session.timeout.ms=2500
group.consumer.min.heartbeat.interval.ms=400
group.consumer.heartbeat.interval.ms=400
"""


@pytest.fixture(scope="session")
def broker() -> Iterator[LocalBroker]:
    """One Apache Kafka for these tests; each names topics and a group of its own."""
    with pytest.MonkeyPatch.context() as patch:
        properties = deploy.broker.SERVER_PROPERTIES + FAST_GROUPS
        patch.setattr(deploy.broker, "SERVER_PROPERTIES", properties)
        with local_broker() as node:
            yield node


@pytest.fixture
def make_stream(
    broker: LocalBroker, tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[int], Stream]:
    """Give a maker of streams of so many partitions, called like the test."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name.removeprefix("test_"))[:80]

    def make(partitions: int) -> Stream:
        return Stream(broker.bootstrap_servers, name, partitions, tmp_path).create()

    return make
