"""A worker with the stub in place of the model, that can be killed at a named point.

    KILL_AT=half_produced KILL_AFTER=3 python -m rig.stub_worker

The points are those of the fault matrix, row P1. They live here, around the rooms and the
producer, so that the worker itself knows nothing of them. SCORE_S is how long the device
takes for a window, at least.
"""

import os
import signal
import sys
from collections.abc import Callable
from threading import Event
from typing import Any

import structlog
from confluent_kafka import Producer

from rig.stub import stub_manifest, stub_score, stub_tokenise
from schemas.errors import TidegateError
from worker import logs
from worker.accounts import Accounts
from worker.at_least_once import AtLeastOnce
from worker.breaker import Breaker
from worker.garbage import spare_windows
from worker.intake import Intake
from worker.judge import Judge
from worker.pipeline import Rooms, run
from worker.policies import load_policies
from worker.prepare import Prepare
from worker.publish import ExactlyOnce, Publish
from worker.run import heed_signals, serve_health
from worker.settings import load_settings
from worker.shared import Shared, Stop
from worker.topics import admin_client, check_topics
from worker.transactions import Transactions
from worker.window import Fetched, Prepared, Scored

POINTS = (
    "consumed",
    "tokenised",
    "scored",
    "begun",
    "half_produced",
    "offsets_sent",
    "committed",
)


HALF = 50  # messages

log = structlog.get_logger()


class KillSwitch:
    """Kills the process at a point, the n-th time that it comes by."""

    def __init__(self) -> None:
        self._at = os.environ.get("KILL_AT")
        self._left = int(os.environ.get("KILL_AFTER", "1"))

    def waits_at(self, point: str) -> bool:
        """Say whether it is set to kill there."""
        return point == self._at

    def passed(self, point: str) -> None:
        """Be at a point."""
        if self.waits_at(point):
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def after(self, act: Callable[..., Any], point: str) -> Callable[..., Any]:
        """Wrap a call, with the point behind it."""

        def wrapped(*args: Any) -> Any:
            result = act(*args)
            self.passed(point)
            return result

        return wrapped


def killing_producer(switch: KillSwitch) -> Callable[[dict[str, Any]], Producer]:
    """Make a maker of producers that die between their calls."""

    class KillingProducer(Producer):
        produced = 0

        def begin_transaction(self) -> None:
            super().begin_transaction()
            switch.passed("begun")

        def produce(self, *args: Any, **kwargs: Any) -> None:
            super().produce(*args, **kwargs)
            self.produced += 1
            if self.produced == HALF and switch.waits_at("half_produced"):
                self.flush(5)
                switch.passed("half_produced")

        def send_offsets_to_transaction(self, *args: Any) -> None:
            super().send_offsets_to_transaction(*args)
            if switch.waits_at("offsets_sent"):
                self.flush(5)  # so that there is something for the successor to abort
            switch.passed("offsets_sent")

        def commit_transaction(self, *args: Any) -> None:
            super().commit_transaction(*args)
            switch.passed("committed")

    return KillingProducer


def main() -> None:
    """Run until SIGTERM, or until killed."""
    settings = load_settings()
    logs.configure(settings.log)
    shared = Shared(settings, Stop(settings.publish.drain_s))
    heed_signals(shared.stop)
    switch = KillSwitch()
    manifest = stub_manifest()
    policies = load_policies(None, manifest)
    check_topics(settings, admin_client(settings))
    judge = Judge(manifest, policies, settings.topics)
    accounts = Accounts(shared.metrics, Breaker(settings.breaker))
    publish: Publish
    if settings.publish.delivery == "at-least-once":
        publish = AtLeastOnce(shared, judge, accounts)
    else:
        transactions = Transactions(shared, killing_producer(switch))
        transactions.open()
        publish = ExactlyOnce(shared, transactions, judge, accounts)
    serve_health(shared)
    prepare = Prepare(settings.limits, switch.after(stub_tokenise, "tokenised"))

    device, score_s = Event(), float(os.environ.get("SCORE_S", "0"))

    def prepared(fetched: Fetched) -> Prepared:
        switch.passed("consumed")
        return prepare(fetched)

    def scored(window: Prepared) -> Scored:
        device.wait(score_s)
        result = stub_score(window)
        log.info("scored", records=len(window.entries))
        switch.passed("scored")
        return result

    rooms = Rooms(Intake(shared), prepared, scored, judge, publish)
    spare_windows(settings.intake.max_messages)
    run(rooms, shared)


if __name__ == "__main__":
    try:
        main()
    except TidegateError as failed:
        sys.exit(f"error: {failed.what}\nhint: {failed.hint}")
