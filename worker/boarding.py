"""The step onto the device: what was lost while it waited is not worth scoring."""

from collections.abc import Iterable, Iterator

from worker.claims import Claims
from worker.window import Partition, Prepared


def boarded(windows: Iterable[Prepared], claims: Claims) -> Iterator[Prepared]:
    """Pass on the windows, or the parts of them, that may still be published.

    From here on a revocation waits for the window, until it is published.
    """
    for window in windows:
        claim = window.fetched.claim
        live = claims.board(claim)
        if live and live == {record.partition for record in window.fetched.records}:
            yield window
        elif live:
            yield only(window, live)


def only(window: Prepared, live: frozenset[Partition]) -> Prepared:
    """Return the part of a window that came from some of its partitions."""
    return window.of(row for row in window.rows if row[0].partition in live)
