"""A worker with the stub in place of the model, that can be made to fail at a named point.

    KILL_AT=half_produced KILL_AFTER=3 python -m rig.stub_worker

The points stand here, around the rooms and the producer, so that the worker itself knows
nothing of them; `rig.points` says what can befall there. Besides, in the environment:

    POISON         a text that kills the process when it is scored
    SCORE_S        how long the device takes for a window, at least
    COMMIT_S       how long a commit takes, at least
    MEMORY_TOKENS  padded tokens of the largest micro-batch that fits the device
    BUG            one of `rig.bugs`, for the proof that the checker sees it
"""

import os
import sys
from collections.abc import Callable
from threading import Event
from time import monotonic
from typing import Any, Final

import structlog
from confluent_kafka import Producer

from rig.bugs import plant
from rig.points import Points
from rig.stub import stub_manifest
from rig.stub_device import BUDGET, StubDevice
from schemas.errors import TidegateError
from worker import logs
from worker.claims import Claims
from worker.garbage import spare_windows
from worker.heap import share_one_heap
from worker.intake import Intake
from worker.judge import Judge
from worker.pipeline import Rooms, run
from worker.policies import load_policies
from worker.prepare import Prepare
from worker.run import heed_signals, open_health, publisher
from worker.scoring.careful import careful
from worker.scoring.scorer import Scorer
from worker.scoring.time_limit import within
from worker.settings import load_settings
from worker.shared import Shared, Stop
from worker.topics import admin_client, check_topics
from worker.window import Fetched, Partition, Prepared, Scored

HALF: Final = 50  # messages

log = structlog.get_logger()


class TimedClaims(Claims):
    """Claims that log how long a revocation was kept waiting."""

    def revoke(self, partitions: Any, deadline_s: float) -> bool:
        """Give partitions back, as ever."""
        going: list[Partition] = list(partitions)
        start = monotonic()
        log.info("revocation waits")
        finished = super().revoke(going, deadline_s)
        log.info("revocation waited", seconds=round(monotonic() - start, 3))
        return finished


def failing_producer(points: Points, commit_s: float) -> Callable[[dict[str, Any]], Producer]:
    """Make a maker of producers that fail between their calls."""

    class FailingProducer(Producer):
        produced = 0

        def begin_transaction(self) -> None:
            super().begin_transaction()
            points.passed("begun")

        def produce(self, *args: Any, **kwargs: Any) -> None:
            super().produce(*args, **kwargs)
            self.produced += 1
            if self.produced == HALF and points.are_set_at("half_produced"):
                self.flush(5)
                points.passed("half_produced")

        def send_offsets_to_transaction(self, *args: Any) -> None:
            super().send_offsets_to_transaction(*args)
            if points.are_set_at("offsets_sent"):
                self.flush(5)  # so that there is something for the successor to abort
            points.passed("offsets_sent")

        def commit_transaction(self, *args: Any) -> None:
            Event().wait(commit_s)
            if points.are_set_at("committing"):
                self.flush(5)  # as above: a kill must not come before the messages left
            points.passed("committing")
            super().commit_transaction(*args)
            points.passed("committed")

    return FailingProducer


def main() -> None:
    """Run until SIGTERM, or until killed."""
    settings = load_settings()
    logs.configure(settings.log)
    shared = Shared(settings, Stop(settings.publish.drain_s), TimedClaims())
    heed_signals(shared.stop)
    share_one_heap()
    points = Points()
    if "BUG" in os.environ:
        plant(os.environ["BUG"])
    manifest = stub_manifest()
    policies = load_policies(None, manifest)
    check_topics(settings, admin_client(settings))
    judge = Judge(manifest, policies, settings.topics)
    make = failing_producer(points, float(os.environ.get("COMMIT_S", "0")))
    publish = publisher(shared, judge, make)
    log.info(
        "worker started",
        health_port=open_health(shared, shared.metrics, shared.readiness.troubles).serve().port,
    )
    device = StubDevice(
        points,
        float(os.environ.get("SCORE_S", "0")),
        int(os.environ.get("MEMORY_TOKENS", BUDGET)),
        os.environ.get("POISON"),
    )
    prepare = Prepare(settings.limits, points.after(device.tokenise, "tokenised"))
    limited = within(settings.scoring.time_limit_s, Scorer(device, manifest, BUDGET))

    def prepared(fetched: Fetched) -> Prepared:
        points.passed("consumed")
        return prepare(fetched)

    def scored(window: Prepared) -> Scored:
        log.info("on the device", records=len(window.entries))
        result = limited(window)
        log.info("scored", records=len(window.entries))
        points.passed("scored")
        return result

    with careful(settings.scoring.crash_record, scored, lambda: scored) as score:
        rooms = Rooms(Intake(shared), prepared, score, judge, publish)
        spare_windows(settings.intake.max_messages)
        run(rooms, shared)


if __name__ == "__main__":
    try:
        main()
    except TidegateError as failed:
        sys.exit(f"error: {failed.what}\nhint: {failed.hint}")
