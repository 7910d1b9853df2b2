"""The other Producer, by a setting: cheaper where a repeat with the same id does no harm."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from time import monotonic

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.errors import ClusterError
from worker.accounts import Accounts
from worker.culprits import MOST_REFUSALS, refused_for_good, without_culprits
from worker.judge import Judge
from worker.kafka_errors import CULPRIT, PURGED
from worker.offsets import next_offsets
from worker.shared import Shared
from worker.transactions import producer_properties
from worker.window import Judged, Outcome, Outgoing


class AtLeastOnce:
    """Publishes a window, then hands its offsets to the thread that may commit them."""

    def __init__(self, shared: Shared, judge: Judge, accounts: Accounts) -> None:
        self._producer = Producer(producer_properties(shared.settings, shared.events))
        self._stop = shared.stop
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

    def close(self) -> None:
        """Let the producer go; all it was given has been delivered."""

    def _delivered_all(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Produce until each message is delivered, or replaced because it cannot be."""
        messages = dict(enumerate(m for outcome in outcomes for m in outcome.messages))
        refusals = 0
        while messages:
            self._go_on()
            self._produce(messages)
            culprits = {p: e.name() for p, e in self._failed.items() if e.code() in CULPRIT}
            if culprits:
                refusals += 1
                if refusals > MOST_REFUSALS:
                    raise refused_for_good(culprits)
                outcomes = without_culprits(outcomes, culprits, self._judge)
                messages = dict(enumerate(m for outcome in outcomes for m in outcome.messages))
            else:
                messages = {place: messages[place] for place in self._failed}
        return outcomes

    def _produce(self, messages: dict[int, Outgoing]) -> None:
        self._failed = {}
        for place, message in messages.items():
            self._hand_over(place, message)
        while self._producer.flush(1.0):
            self._go_on()
        fatal = [e for e in self._failed.values() if e.fatal()]
        if fatal:
            raise ClusterError(f"producer: {fatal[0].name()}: {fatal[0].str()}")

    def _hand_over(self, place: int, message: Outgoing) -> None:
        report = partial(self._delivered, place)
        while True:
            try:
                self._producer.produce(
                    message.topic,
                    message.value,
                    message.key,
                    headers=list(message.headers),
                    on_delivery=report,
                )
            except BufferError:
                self._go_on()
                self._producer.poll(0.1)
            except KafkaException as failed:
                self._failed[place] = failed.args[0]
                return
            else:
                return

    def _go_on(self) -> None:
        """Say that the thread turns, and end the waiting when the time to drain is over."""
        self._pulse.beat()
        if self._stop.overdue():
            raise ClusterError("verdicts could not be delivered while draining")

    def _delivered(self, place: int, error: KafkaError | None, _: Message) -> None:
        if error is not None and error.code() not in PURGED:
            self._failed[place] = error
