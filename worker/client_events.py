"""What the Kafka clients tell beside their calls: errors they mend, and statistics.

Called in whichever thread serves a client's callbacks. Fields: librdkafka's STATISTICS.md.
"""

import json
import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Final

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


class ConnectionLog:
    """librdkafka's lines about one client: passed on, and listened to.

    The line on a connection that broke stands in the client's queue before the call that met it
    returns. Statistics say it a second later at best, and not at all of a broker that the client
    has listed anew meanwhile.

    Args:
        broke: called when a connection broke that requests had gone out over.
    """

    def __init__(self, broke: Callable[[], None]) -> None:
        self._broke = broke

    def log(self, level: int, form: str, *parts: str) -> None:
        """Take a line as librdkafka's Python client gives it: facility, client's name, text."""
        if parts[0] == "FAIL" and " in state UP" in parts[-1]:
            self._broke()
        CLIENT_LOG.log(level, form, *parts)


# Fields of a broker's statistics that tell of requests without an answer.
TROUBLE: Final = ("req_timeouts", "disconnects")

# Said of each broker again and again while it is away; the state is logged when it changes.
CONNECTION: Final = frozenset(
    {KafkaError._TRANSPORT, KafkaError._RESOLVE}  # noqa: SLF001 - public constants
)


class ClientEvents:
    """Turns the clients' events into figures and readiness."""

    def __init__(self, metrics: Metrics, readiness: Readiness) -> None:
        self._metrics = metrics
        self._readiness = readiness
        self._up = True
        self._has_consumer = False  # whose word on connections counts; the API has none

    def error(self, error: KafkaError) -> None:
        """Heed what a client says about its connections; it mends them by itself."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - a public constant
            self._connected(up=False)
        elif error.code() not in CONNECTION:
            log.warning("kafka client", code=error.name())

    def consumer_statistics(self, statistics: str) -> None:
        """Read lag, membership and connection.

        A member that cannot reach its coordinator goes on fetching, and hears of no rebalance.
        """
        self._has_consumer = True
        found = json.loads(statistics)
        partitions = [p for t in found.get("topics", {}).values() for p in t["partitions"].values()]
        self._metrics.lag.set(sum(map(_behind, partitions)))
        self._metrics.unstable.set(sum(map(_unstable, partitions)))
        group = found.get("cgrp", {})
        if group.get("state") != "up":
            self._readiness.trouble("coordinator", "the group's coordinator is away")
        else:
            self._readiness.clear("coordinator")
            if group.get("join_state") == "steady":
                self._readiness.clear("group")
        self._connected(up=_is_up(found))

    def producer_statistics(self, statistics: str) -> None:
        """Hear, where there is no consumer, that a broker is back; an idle producer needs none."""
        if not self._has_consumer and not self._up and _is_up(json.loads(statistics)):
            self._connected(up=True)

    def _connected(self, *, up: bool) -> None:
        self._metrics.connected.set(int(up))
        if up is not self._up:
            self._up = up
            log.warning("kafka is back" if up else "kafka is away: windows are kept and retried")
        if up:
            self._readiness.clear("broker")
        else:
            self._readiness.trouble("broker", "no broker is connected")


def _is_up(statistics: Mapping[str, Any]) -> bool:
    """Say whether a client has a connection."""
    return any(broker.get("state") == "UP" for broker in statistics.get("brokers", {}).values())


def _unstable(partition: Mapping[str, Any]) -> int:
    """Return how many offsets of a partition stand behind a transaction that is open."""
    if partition.get("fetch_state") != "active":
        return 0
    stable, end = int(partition["ls_offset"]), int(partition["hi_offset"])
    return max(0, end - stable) if stable >= 0 else 0


def _behind(partition: Mapping[str, Any]) -> int:
    """Return how far the worker is behind what it may read; 0 for one that it does not fetch.

    librdkafka's own `consumer_lag` stays unknown for ever: it counts from offsets that the consumer
    has committed, and ours are committed by transactions.
    """
    if partition.get("fetch_state") != "active":
        return 0
    given, next_one = int(partition["app_offset"]), int(partition["next_offset"])
    return max(0, int(partition["ls_offset"]) - (given if given >= 0 else next_one))


def connection_trouble(statistics: str) -> bool:
    """Say whether a request of a producer may still be on its way.

    It went out over a connection that broke, or had no answer in time: to the coordinator of
    transactions, or to the group's, which takes the offsets. Errors and reports do not show it.
    A request that was refused and sent again (`txretries`) is no trouble: the broker answers so,
    many times a minute, while the transaction before is being completed, and an answered request
    cannot arrive late.
    """
    brokers = json.loads(statistics).get("brokers", {}).values()
    return any(broker.get(name, 0) > 0 for broker in brokers for name in TROUBLE)
