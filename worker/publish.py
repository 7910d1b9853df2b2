"""The Producer: verdicts, flags, dead letters and offsets in one transaction.

A window's outcomes stay in memory until they are committed, so that an abort needs no
rewind: the same outcomes, less what the claim has lost, are published once more.
"""

from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import Final, Protocol

from schemas.errors import ClusterError
from worker.accounts import Accounts
from worker.culprits import Positions, places_of, positions_of, without_culprits
from worker.judge import Judge
from worker.offsets import next_offsets
from worker.shared import Shared
from worker.transactions import AbortedError, Transactions
from worker.window import Judged, Outcome

METADATA_S: Final = 1.0  # how long to wait for intake to read the group's metadata again


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
    """Publishes a window and its offsets in one transaction (KIP-98, KIP-447)."""

    def __init__(
        self, shared: Shared, transactions: Transactions, judge: Judge, accounts: Accounts
    ) -> None:
        self._stop = shared.stop
        self._readiness = shared.readiness
        self._claims = shared.claims
        self._committed = shared.committed
        self._transactions = transactions
        self._judge = judge
        self._accounts = accounts

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
                self._transactions.recover()
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

    def close(self) -> None:
        """Let the producer go."""
        self._transactions.close()

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
