"""What the Kafka clients tell beside their calls: errors they mend, and statistics.

Called in whichever thread serves a client's callbacks. Fields: librdkafka's STATISTICS.md.
"""

import json
import logging
from typing import Final

import structlog
from confluent_kafka import KafkaError

from worker.metrics import Metrics
from worker.readiness import Readiness

log = structlog.get_logger()

# Takes librdkafka's own lines, which would else go to stderr in a form of their own.
CLIENT_LOG: Final = logging.getLogger("librdkafka")


class ClientEvents:
    """Turns the consumer's events into figures and readiness."""

    def __init__(self, metrics: Metrics, readiness: Readiness) -> None:
        self._metrics = metrics
        self._readiness = readiness

    def error(self, error: KafkaError) -> None:
        """Log what a client says about its connections; it mends them by itself."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - a public constant
            self._connected(up=False)
        log.warning("kafka client", code=error.name())

    def consumer_statistics(self, statistics: str) -> None:
        """Read lag and connection."""
        found = json.loads(statistics)
        partitions = [p for t in found.get("topics", {}).values() for p in t["partitions"].values()]
        self._metrics.lag.set(sum(max(0, p.get("consumer_lag", 0)) for p in partitions))
        states = [broker.get("state") for broker in found.get("brokers", {}).values()]
        self._connected(up="UP" in states)

    def _connected(self, *, up: bool) -> None:
        self._metrics.connected.set(int(up))
        if up:
            self._readiness.clear("broker")
        else:
            self._readiness.trouble("broker", "no broker is connected")


def coordinator_trouble(statistics: str) -> bool:
    """Say whether a producer's connection to its coordinator was ever retried or broke.

    Only statistics show it; errors and reports do not.
    """
    brokers = json.loads(statistics).get("brokers", {}).values()
    return any(
        broker.get(name, 0) > 0
        for broker in brokers
        if "TxnCoordinator" in broker.get("name", "")
        for name in ("txretries", "req_timeouts", "disconnects")
    )
