"""What the Kafka clients tell beside their calls: errors they mend, and statistics.

Called in whichever thread serves a client's callbacks. Fields: librdkafka's STATISTICS.md.
"""

import json
import logging
from time import monotonic
from typing import Final

import structlog
from confluent_kafka import KafkaError

from worker.metrics import Metrics
from worker.readiness import Readiness

log = structlog.get_logger()

SELDOM_S: Final = 30.0  # how often one kind of librdkafka's lines is worth a line of ours


class _Seldom(logging.Filter):
    """Lets a kind of line through now and then: an outage makes several a second."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}  # facility -> monotonic

    def filter(self, record: logging.LogRecord) -> bool:
        facility, now = record.getMessage().partition(" ")[0], monotonic()
        if now - self._last.get(facility, -SELDOM_S) < SELDOM_S:
            return False
        self._last[facility] = now
        return True


# Takes librdkafka's own lines, which would else go to stderr in a form of their own.
CLIENT_LOG: Final = logging.getLogger("librdkafka")
CLIENT_LOG.addFilter(_Seldom())


# Said of each broker again and again while it is away; the state is logged when it changes.
CONNECTION: Final = frozenset(
    {KafkaError._TRANSPORT, KafkaError._RESOLVE}  # noqa: SLF001 - public constants
)


class ClientEvents:
    """Turns the consumer's events into figures and readiness."""

    def __init__(self, metrics: Metrics, readiness: Readiness) -> None:
        self._metrics = metrics
        self._readiness = readiness
        self._up = True

    def error(self, error: KafkaError) -> None:
        """Heed what a client says about its connections; it mends them by itself."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - a public constant
            self._connected(up=False)
        elif error.code() not in CONNECTION:
            log.warning("kafka client", code=error.name())

    def consumer_statistics(self, statistics: str) -> None:
        """Read lag and connection."""
        found = json.loads(statistics)
        partitions = [p for t in found.get("topics", {}).values() for p in t["partitions"].values()]
        self._metrics.lag.set(sum(max(0, p.get("consumer_lag", 0)) for p in partitions))
        group = found.get("cgrp", {})
        if group.get("state") == "up" and group.get("join_state") == "steady":
            self._readiness.clear("group")
        states = [broker.get("state") for broker in found.get("brokers", {}).values()]
        self._connected(up="UP" in states)

    def _connected(self, *, up: bool) -> None:
        self._metrics.connected.set(int(up))
        if up is not self._up:
            self._up = up
            log.warning("kafka is back" if up else "kafka is away: windows are kept and retried")
        if up:
            self._readiness.clear("broker")
        else:
            self._readiness.trouble("broker", "no broker is connected")


def coordinator_trouble(statistics: str) -> bool:
    """Say whether a request to a producer's coordinator may still be on its way.

    It went out over a connection that broke, or had no answer in time. Only statistics show it;
    errors and reports do not. A request that was refused and sent again (`txretries`) is no
    trouble: the broker answers so, many times a minute, while the transaction before is being
    completed, and an answered request cannot arrive late.
    """
    brokers = json.loads(statistics).get("brokers", {}).values()
    return any(
        broker.get(name, 0) > 0
        for broker in brokers
        if "TxnCoordinator" in broker.get("name", "")
        for name in ("req_timeouts", "disconnects")
    )
