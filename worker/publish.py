"""The Producer: verdicts, flags, dead letters and offsets in one transaction.

A window's outcomes stay in memory until they are committed, so that an abort needs no
rewind: the same outcomes, less what the claim has lost, are published once more.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from time import monotonic
from typing import Final, Protocol

import structlog

from schemas.errors import ClusterError
from worker.accounts import Accounts
from worker.culprits import Positions, places_of, positions_of, without_culprits
from worker.judge import Judge
from worker.left_open import are_held_back
from worker.offsets import next_offsets
from worker.settings import Settings
from worker.shared import Shared
from worker.transactions import AbortedError, Transactions
from worker.window import Judged, Outcome, Partition

log = structlog.get_logger()

METADATA_S: Final = 1.0  # how long to wait for intake to read the group's metadata again
LEFT_S: Final = 2.0  # an offset that is held back for so long, when all of ours has ended
MOST_ENDS: Final = 8  # producers that may fail to end what was left open

HeldBack = Callable[
    [Settings, Collection[Partition] | None, float, Callable[[], None]],
    bool,
]


class Publish(Protocol):
    """The last room; called in the main thread."""

    def __call__(self, window: Judged) -> None:
        """Publish a window, and return when it is committed or no longer ours."""
        ...

    def idle(self) -> None:
        """Do what must not wait for the next window."""
        ...

    def close(self) -> None:
        """Let the producer go."""
        ...


class ExactlyOnce:
    """Publishes a window and its offsets in one transaction (KIP-98, KIP-447).

    Args:
        shared: what threads share.
        transactions: open.
        judge: makes a dead letter of a comment whose verdict is refused.
        accounts: told of each window.
        held_back: `left_open.are_held_back`.
    """

    def __init__(
        self,
        shared: Shared,
        transactions: Transactions,
        judge: Judge,
        accounts: Accounts,
        held_back: HeldBack = are_held_back,
    ) -> None:
        self._settings = shared.settings
        self._stop = shared.stop
        self._pulse = shared.pulse
        self._readiness = shared.readiness
        self._claims = shared.claims
        self._committed = shared.committed
        self._left_open = shared.left_open
        self._transactions = transactions
        self._judge = judge
        self._accounts = accounts
        self._held_back = held_back

    def __call__(self, window: Judged) -> None:
        """Publish a window.

        Raises:
            ClusterError: the cluster refused us for good, or the outcome is unknown.
        """
        start = monotonic()
        outcomes: Sequence[Outcome] = window.outcomes
        alone: Positions = frozenset()
        try:
            while True:
                if self._transactions.recover():
                    self.end_what_was_left_open()
                outcomes, aborted = self._once(window, outcomes, alone)
                if aborted is None:
                    break
                alone |= positions_of(outcomes, aborted.suspects)
                outcomes = without_culprits(outcomes, aborted.culprits, self._judge)
        finally:
            self._claims.land(window.claim)
        self._accounts(replace(window, outcomes=outcomes), monotonic() - start)

    def idle(self) -> None:
        """Serve the client, and see whether the time to drain is over while the device works.

        Raises:
            ClusterError: it is over.
        """
        if self._stop.overdue():
            raise ClusterError("windows on the device were not finished while draining")
        self._transactions.idle()
        if self._left_open.to_end.is_set():
            self._left_open.to_end.clear()
            if not self._claims.owned():  # else what held the offsets back has ended
                self._abort_what_was_left_open()

    def end_what_was_left_open(self) -> None:
        """See whether a broker has left a transaction of ours open, and end it.

        To be called when all that we began has ended: at the start, and by a producer that was
        rebuilt, before it begins. Where nothing is ours it is tried for other workers' offsets,
        too: they may have been given what was ours.

        Raises:
            ClusterError: it cannot be ended.
        """
        if self._held_back(self._settings, self._claims.owned() or None, LEFT_S, self._go_on):
            self._abort_what_was_left_open()

    def close(self) -> None:
        """Let the producer go."""
        self._transactions.close()

    def _go_on(self) -> None:
        self._pulse.beat()
        if self._stop.overdue():  # to publish without an answer could end what was left open
            raise ClusterError("the group's offsets were not learnt while draining")

    def _abort_what_was_left_open(self) -> None:
        """Let all partitions go, end it, and have intake begin at the group's offsets."""
        owned = self._claims.owned()
        self._claims.lose(owned)
        self._committed.forget()
        if not any(self._transactions.end_left_open() for _ in range(MOST_ENDS)):
            raise ClusterError("what a broker may have left open cannot be aborted")
        log.warning("what a broker may have left open is aborted", partitions=len(owned))
        if owned:
            self._left_open.to_rejoin.set()

    def _once(
        self, window: Judged, outcomes: Sequence[Outcome], alone: Positions
    ) -> tuple[Sequence[Outcome], AbortedError | None]:
        """Try once; return the outcomes that are still ours, and why they must be tried again."""
        try:
            with self._claims.gate(window.claim) as (live, metadata):
                outcomes = [o for o in outcomes if o.record.partition in live]
                if not outcomes:
                    self._readiness.clear("transaction")
                    return outcomes, None
                messages = [message for outcome in outcomes for message in outcome.messages]
                offsets = next_offsets(outcome.record for outcome in outcomes)
                places = places_of(outcomes, alone) if alone else ()
                self._transactions.send(messages, offsets, metadata, places)
            self._transactions.commit()
            self._committed.note(offsets)
        except AbortedError as aborted:
            if aborted.stale_member:
                self._claims.await_metadata(metadata, METADATA_S)
            # Its traceback would keep the old producer alive while the new one is built.
            return outcomes, aborted.with_traceback(None)
        return outcomes, None
