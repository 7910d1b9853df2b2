"""The other Producer, by a setting: cheaper where a repeat with the same id does no harm."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from time import monotonic

import structlog
from confluent_kafka import KafkaError, Message, Producer

from schemas.errors import ClusterError
from worker.accounts import Accounts
from worker.culprits import without_culprits
from worker.judge import Judge
from worker.kafka_errors import CULPRIT, HOPELESS, PURGED
from worker.offsets import next_offsets
from worker.shared import Shared
from worker.transactions import produced, producer_properties
from worker.window import Judged, Outcome, Outgoing

log = structlog.get_logger()


class AtLeastOnce:
    """Publishes a window, then hands its offsets to the thread that may commit them."""

    def __init__(self, shared: Shared, judge: Judge, accounts: Accounts) -> None:
        self._producer = Producer(producer_properties(shared.settings, shared.events))
        self._stop = shared.stop
        self._readiness = shared.readiness
        self._pulse = shared.pulse
        self._claims = shared.claims
        self._offsets = shared.offsets
        self._judge = judge
        self._accounts = accounts
        self._failed: dict[int, KafkaError] = {}

    def __call__(self, window: Judged) -> None:
        """Publish a window.

        Raises:
            ClusterError: the cluster refused us for good, or the time to drain is over.
        """
        start = monotonic()
        outcomes: Sequence[Outcome] = window.outcomes
        try:
            with self._claims.gate(window.claim) as (live, _):
                outcomes = [o for o in outcomes if o.record.partition in live]
            outcomes = self._delivered_all(outcomes)
            with self._claims.gate(window.claim) as (live, _):
                records = [o.record for o in outcomes if o.record.partition in live]
                self._offsets.put(next_offsets(records))
        finally:
            self._claims.land(window.claim)
        self._accounts(replace(window, outcomes=outcomes), monotonic() - start)

    def idle(self) -> None:
        """Serve the client, and see whether the time to drain is over while the device works.

        Raises:
            ClusterError: it is over.
        """
        self._go_on()
        self._producer.poll(0)

    def close(self) -> None:
        """Let the producer go; all it was given has been delivered."""

    def _delivered_all(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Produce until each message is delivered, or replaced because it cannot be.

        After a failure all that stands behind it is sent again, too: a repeat does no harm,
        but a verdict that comes behind its comment's tombstone would never be forgotten.
        """
        start, alone = 0, False
        while True:
            messages = [message for outcome in outcomes for message in outcome.messages]
            failed = self._produce(messages, start, alone=alone)
            if not failed:
                self._readiness.clear("delivery")
                return outcomes
            first = min(failed)
            error = failed[first]
            self._readiness.trouble("delivery", f"a window waits: {error.name()}")
            log.warning("verdicts sent again", code=error.name(), messages=len(messages) - first)
            if error.fatal() or error.code() in HOPELESS:
                raise ClusterError(f"producer: {error.name()}: {error.str()}")
            start = _first_place_of_its_record(outcomes, first)
            is_culprit = error.code() in CULPRIT
            if is_culprit and (alone or len(failed) == 1):
                outcomes = without_culprits(outcomes, {first: error.name()}, self._judge)
            alone = is_culprit  # a batch is refused as a whole: find out for which of them

    def _produce(
        self, messages: Sequence[Outgoing], start: int, *, alone: bool
    ) -> dict[int, KafkaError]:
        """Produce what stands from `start` on, and return what failed.

        Args:
            messages: of the window.
            start: place of the first one.
            alone: one at a time, up to the first that fails.
        """
        self._failed = {}
        for place in range(start, len(messages)):
            self._hand_over(place, messages[place])
            if alone:
                self._flush()
                if self._failed:
                    break
        self._flush()
        return self._failed

    def _flush(self) -> None:
        while self._producer.flush(1.0):
            self._go_on()

    def _hand_over(self, place: int, message: Outgoing) -> None:
        report = partial(self._delivered, place)
        failure = produced(self._producer, message, report)
        while failure and failure.code() == KafkaError._QUEUE_FULL:  # noqa: SLF001 - a public constant
            self._go_on()
            self._producer.poll(0.1)
            failure = produced(self._producer, message, report)
        if failure:
            self._failed[place] = failure

    def _go_on(self) -> None:
        """Say that the thread turns, and end the waiting when the time to drain is over."""
        self._pulse.beat()
        if self._stop.overdue():
            raise ClusterError("verdicts could not be delivered while draining")

    def _delivered(self, place: int, error: KafkaError | None, _: Message) -> None:
        if error is not None and error.code() not in PURGED:
            self._failed[place] = error


def _first_place_of_its_record(outcomes: Sequence[Outcome], place: int) -> int:
    """Return where the messages of a record begin, given the place of one of them."""
    start = 0
    for outcome in outcomes:
        if place < start + len(outcome.messages):
            break
        start += len(outcome.messages)
    return start
