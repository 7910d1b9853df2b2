"""What the tests of several folders share."""

from collections.abc import Iterator

import pytest

from deploy.broker import LocalBroker, local_broker


@pytest.fixture(scope="session")
def broker() -> Iterator[LocalBroker]:
    """One Apache Kafka for the whole run; each test names topics and groups of its own."""
    with local_broker() as node:
        yield node
