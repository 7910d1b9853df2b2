"""Which partitions are ours, and which windows may still be published.

The broker fences members, not partitions: offsets of a partition that another worker owns
are committed without a word, if only the metadata is fresh. So we check ourselves, under a
lock that revocation also takes (shared by three threads):

    intake    writes the assignments, and waits in `revoke` for windows on the device
    device    boards a window: from then on a revocation waits for it
    publish   passes the gate before each transaction, and lands the window after it
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Condition
from time import monotonic
from typing import Any, Final

from worker.window import Claim, Partition

# Answers in a row that the group has moved on: one may be to metadata from before a revocation.
MOST_STALE: Final = 2


class Claims:
    """The assignments of this worker, and the windows that are on their way under them."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._assigned: dict[Partition, int] = {}  # partition -> its count, while it is ours
        self._counts: dict[Partition, int] = {}  # partition -> how often it was ever assigned
        self._leaving: set[Partition] = set()  # asked back: nothing more may board
        # Windows between device and commit, each with the partitions that went aboard with it.
        self._aboard: list[tuple[Claim, frozenset[Partition]]] = []
        self._abandoned = False  # nothing that is aboard will be published any more
        self._stale = 0  # answers in a row that the group has moved on
        self._metadata: Any = None  # of the consumer group, as fresh as intake could read it

    # -- intake's side

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Note that partitions are ours from now on."""
        with self._changed:
            for partition in partitions:
                self._counts[partition] = self._counts.get(partition, 0) + 1
                self._assigned[partition] = self._counts[partition]

    def refresh(self, metadata: Any) -> None:
        """Keep the consumer group's metadata, read by the only thread that may."""
        with self._changed:
            self._metadata = metadata
            self._changed.notify_all()

    def claim(self, partitions: Iterable[Partition]) -> Claim:
        """Make the claim of a window that was just fetched.

        A partition that is not ours (any more) is left out, and so are its messages.
        """
        with self._changed:
            return Claim({p: self._assigned[p] for p in partitions if p in self._assigned})

    def owned(self) -> list[Partition]:
        """Return the partitions that are ours now, for figures."""
        with self._changed:
            return sorted(self._assigned)

    def revoke(self, partitions: Iterable[Partition], deadline_s: float) -> bool:
        """Give partitions back: finish the windows that are on the device, drop the others.

        Past the deadline the partitions are let go all the same, and so they are when the group has
        moved on meanwhile: it takes no offsets from us before we have joined it again, which waits
        for this revocation. That is safe: a window whose offsets were not sent will find the gate
        closed; one whose offsets were sent holds the successor back until its transaction has
        ended (KIP-447, stable offsets).

        Returns:
            Whether every such window was finished in time.
        """
        going = set(partitions)

        def finished() -> bool:
            return not any(going & live for _, live in self._aboard)

        end = monotonic() + deadline_s
        with self._changed:  # once the window at the gate has been sent
            self._leaving |= going
            self._stale = 0
            self._changed.wait_for(
                lambda: self._abandoned or finished() or self._stale >= MOST_STALE,
                max(0.0, end - monotonic()),
            )
            self._forget(going)
            return finished()

    def lose(self, partitions: Iterable[Partition]) -> None:
        """Note that partitions are gone already: nothing of them may be published."""
        with self._changed:
            self._forget(set(partitions))

    def abandon(self) -> None:
        """Note that a room has failed: what is aboard is lost, and nobody need wait for it."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def _forget(self, going: set[Partition]) -> None:
        for partition in going:
            self._assigned.pop(partition, None)
        self._leaving -= going

    # -- the device's side

    def board(self, claim: Claim) -> frozenset[Partition]:
        """Let a window onto the device, and return the partitions for which it is worth it."""
        with self._changed:
            live = self._live(claim) - self._leaving
            if live:
                self._aboard.append((claim, live))
            return live

    # -- the publisher's side

    @contextmanager
    def gate(self, claim: Claim) -> Iterator[tuple[frozenset[Partition], Any]]:
        """Hold every assignment as it is, and say what of a window may be published.

        Yields:
            The partitions that are still ours under the window's own count, and the group
            metadata to send offsets with.
        """
        with self._changed:
            yield self._live(claim), self._metadata

    def land(self, claim: Claim) -> None:
        """Note that a window has been committed or dropped; a revocation may be waiting."""
        with self._changed:
            self._aboard = [(other, live) for other, live in self._aboard if other is not claim]
            self._stale = 0
            self._changed.notify_all()

    def await_metadata(self, stale: Any, timeout_s: float) -> None:
        """Wait until intake has read newer metadata than was refused, or the time is over."""
        with self._changed:
            self._stale += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._metadata is not stale, timeout_s)

    def _live(self, claim: Claim) -> frozenset[Partition]:
        return frozenset(p for p, n in claim.counts.items() if self._assigned.get(p) == n)
