"""The worker processes of the demo: started, watched, asked what they hold, stopped."""

import os
import sys
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.broker import LocalBroker
from deploy.keeper import Kept
from schemas.errors import TidegateError
from worker.settings import Settings

# A model loads in seconds; the first download of a checkpoint by name takes longer.
READY_S: Final = 180.0
TICK_S: Final = 0.1
LOOK_S: Final = 1.0  # how often the group is asked who holds what
# The longest there is. A connection that breaks ends the wait, too; time that is over before the
# group's coordinator was found would end the process with it (librdkafka#4605).
ANSWER_S: Final = 3_600.0

# A person's settings that would take the workers to another cluster, group or port.
OURS: Final = ("TIDEGATE_KAFKA__", "TIDEGATE_SLOT", "TIDEGATE_HEALTH__", "TIDEGATE_LOG__")


class Workers:
    """`number` workers of one group, a process each.

    Args:
        broker: their cluster; their logs stand in its data folder.
        settings: say what the group is called.
        number: how many.
    """

    def __init__(self, broker: LocalBroker, settings: Settings, number: int) -> None:
        self._group = settings.kafka.group_id
        self._admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
        self._asked: Future[Any] | None = None
        self._asked_at = 0.0
        self._ended: dict[str, int] = {}
        self.partitions: dict[str, list[int]] = {}
        self._kept = {
            f"worker-{slot}": Kept(
                # -P: the folder we are called in may have a `deploy` of its own
                [sys.executable, "-P", "-m", "deploy.cli", "worker"],
                broker.data / f"worker-{slot}.log",
                env=_environment(broker, self._group, slot),
            )
            for slot in range(number)
        }

    def wait_until_ready(self) -> None:
        """Return when each worker holds partitions, which it does once its model is loaded.

        Raises:
            TidegateError: one ended, or they took too long.
        """
        deadline = monotonic() + READY_S
        while self.partitions.keys() != self._kept.keys():
            self.look(TICK_S)
            if monotonic() > deadline:
                raise TidegateError(
                    f"only {len(self.partitions)} of {len(self._kept)} workers were ready after "
                    f"{READY_S:.0f} s",
                    "look for what else keeps this machine busy, or ask for fewer --workers",
                )

    def look(self, wait_s: float = 0) -> None:
        """See whether all live, and now and then which partitions each holds.

        Args:
            wait_s: how long to wait for the first worker to end, if one does.

        Raises:
            TidegateError: a worker ended by itself.
        """
        for name, kept in self._kept.items():
            status = kept.ended(wait_s / len(self._kept))
            if status is not None:
                raise TidegateError(
                    f"{name} ended by itself with status {status}; the end of its log:\n"
                    f"{kept.last_words()}"
                )
        if self._asked is None and monotonic() > self._asked_at + LOOK_S:
            self._asked_at = monotonic()
            self._asked = self._admin.describe_consumer_groups(
                [self._group], request_timeout=ANSWER_S
            )[self._group]
        if self._asked is not None and self._asked.done():
            with suppress(KafkaException):  # the group does not exist yet
                self.partitions = _held(self._asked.result())
            self._asked = None

    def stop(self) -> None:
        """Ask all to finish and leave, and return when they have."""
        self._ended = {name: kept.stop() for name, kept in self._kept.items()}

    def check_end(self) -> None:
        """Look at how they ended.

        Raises:
            TidegateError: one was asked to stop and did not end well.
        """
        for name, status in self._ended.items():
            if status:
                raise TidegateError(
                    f"{name} was asked to stop and ended with status {status}; the end of its "
                    f"log:\n{self._kept[name].last_words()}"
                )


def _environment(broker: LocalBroker, group: str, slot: int) -> Mapping[str, str]:
    """Return a worker's environment: a person's settings, but for where it works and as whom."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return theirs | {
        "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "TIDEGATE_KAFKA__GROUP_ID": group,
        "TIDEGATE_KAFKA__CLIENT__CLIENT_ID": f"worker-{slot}",
        "TIDEGATE_SLOT": str(slot),
        "TIDEGATE_HEALTH__PORT": "0",
        "TIDEGATE_LOG__FORMAT": "json",
    }


def _held(group: Any) -> dict[str, list[int]]:
    """Return the partitions by worker of a group's description; who holds none is left out."""
    held = {
        member.client_id: sorted(p.partition for p in member.assignment.topic_partitions)
        for member in group.members
        if member.assignment
    }
    return {name: partitions for name, partitions in sorted(held.items()) if partitions}
