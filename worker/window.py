"""The window: the unit of work, and what it is called in each room that it passes.

    Fetched -> Prepared -> Scored -> Judged

A window is never changed in place: each room makes the next form from the one it was
given, so that two threads can hold two forms of one window without a lock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from schemas.comment import CommentEvent
from schemas.dead_letter import Reason

Headers = Sequence[tuple[str, bytes | None]]
Probabilities = NDArray[np.float64]


class Partition(NamedTuple):
    """A partition of the comments topic."""

    topic: str
    number: int


class Record(NamedTuple):
    """One message as it came from Kafka. `timestamp` is in milliseconds since 1970."""

    partition: Partition
    offset: int
    leader_epoch: int | None
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    headers_readable: bool = True  # False: a name in them is no UTF-8, and they are left out


@dataclass(frozen=True, slots=True)
class Claim:
    """By what right a window may be published: the assignment under which it was fetched.

    `counts` says for each partition how many times it had been assigned to this worker.
    Owning a partition again is not owning it still: another worker may have judged the
    same comments in between.
    """

    counts: Mapping[Partition, int]


@dataclass(frozen=True, slots=True)
class Fetched:
    """The messages of one fetch, in the order in which they came."""

    claim: Claim
    records: Sequence[Record]
    fetched_at: float = field(default_factory=monotonic)  # seconds, monotonic


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment that can be scored, and the places of its pieces in the window's list."""

    event: CommentEvent
    pieces: range
    truncated: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that nobody can judge. `detail` never holds what the record held."""

    reason: Reason
    detail: str
    comment_id: str | None  # None: it could not be read, so nobody can be told
    community: str | None = None
    revision: int | None = None
    with_payload: bool = True  # False: the broker refused these very bytes


@dataclass(frozen=True, slots=True)
class Erasure:
    """A comment that must be forgotten. The key is kept as bytes, as the platform wrote it."""

    key: bytes


Entry = Comment | Refusal | Erasure


@dataclass(frozen=True, slots=True)
class Prepared:
    """A window decoded and tokenised. `entries` stand beside the records, one for each.

    `pieces` are token ids, [CLS] and [SEP] included, none longer than the model allows.
    """

    fetched: Fetched
    entries: Sequence[Entry]
    pieces: Sequence[Sequence[int]]
    seconds: float

    def of(self, rows: Iterable[tuple[Record, Entry]]) -> Self:
        """Return the window of these of its records, with the pieces that their entries need."""
        records: list[Record] = []
        entries: list[Entry] = []
        pieces: list[Sequence[int]] = []
        for record, entry in rows:
            records.append(record)
            if isinstance(entry, Comment):
                entries.append(
                    replace(entry, pieces=range(len(pieces), len(pieces) + len(entry.pieces)))
                )
                pieces.extend(self.pieces[place] for place in entry.pieces)
            else:
                entries.append(entry)
        fetched = replace(self.fetched, records=records)
        return replace(self, fetched=fetched, entries=entries, pieces=pieces)

    @property
    def rows(self) -> Iterable[tuple[Record, Entry]]:
        """Each record beside its entry."""
        return zip(self.fetched.records, self.entries, strict=True)


@dataclass(frozen=True, slots=True)
class Scored:
    """A window with its probabilities: float64 [comments, labels], in the entries' order."""

    prepared: Prepared
    scores: Probabilities
    seconds: float


class Outgoing(NamedTuple):
    """A message to be produced."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Outcome(NamedTuple):
    """What became of one record: all that it sends out, and what to call it in figures."""

    record: Record
    entry: Entry
    action: str | None  # the verdict's, None for an erasure or where nobody could be told
    labels: Sequence[str]
    messages: Sequence[Outgoing]
    borderline: Sequence[str] = ()  # labels whose score is hardly over a threshold, or under it


@dataclass(frozen=True, slots=True)
class Judged:
    """A window ready to be published: an outcome for each record, in order."""

    scored: Scored
    outcomes: Sequence[Outcome]

    @property
    def claim(self) -> Claim:
        """The right under which the window was fetched."""
        return self.scored.prepared.fetched.claim
