"""The step onto the device: what was lost while it waited is not worth scoring."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from worker.claims import Claims
from worker.window import Comment, Entry, Partition, Prepared, Record


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
    records: list[Record] = []
    entries: list[Entry] = []
    pieces: list[Sequence[int]] = []
    for record, entry in zip(window.fetched.records, window.entries, strict=True):
        if record.partition not in live:
            continue
        kept: Entry = entry
        if isinstance(entry, Comment):
            kept = replace(entry, pieces=range(len(pieces), len(pieces) + len(entry.pieces)))
            pieces.extend(window.pieces[place] for place in entry.pieces)
        records.append(record)
        entries.append(kept)
    return replace(
        window, fetched=replace(window.fetched, records=records), entries=entries, pieces=pieces
    )
