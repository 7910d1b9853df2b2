"""Contents of the four topics, made by hand: what an honest worker leaves there, and faults.

The worker's own rooms make them, so that the rules are held against what is really published.
"""

import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from deploy.reconcile.books import Books
from deploy.reconcile.findings import Findings
from deploy.reconcile.ledger import Ledger
from deploy.reconcile.places import Places
from deploy.reconcile.scope import Memories, Scope
from deploy.reconcile.stories import Stories
from rig.make import make_judge, make_judged, make_record, value_of
from schemas.dead_letter import HEADER_PREFIX
from worker.culprits import without_culprits
from worker.settings import TopicSettings
from worker.window import Erasure, Headers, Outcome, Record

TOPICS = TopicSettings()


class Said(NamedTuple):
    """A record as the client would give it."""

    its_partition: int
    its_offset: int
    its_key: bytes | None
    its_value: bytes | None
    its_headers: Headers = ()
    readable: bool = True
    its_timestamp: int = 1_700_000_000_000

    def partition(self) -> int:
        """Return the partition's number."""
        return self.its_partition

    def offset(self) -> int:
        """Return where it stands there."""
        return self.its_offset

    def key(self) -> bytes | None:
        """Return its key."""
        return self.its_key

    def value(self) -> bytes | None:
        """Return its value."""
        return self.its_value

    def headers(self) -> Headers:
        """Return its headers; fail as the client does on a name that is no UTF-8."""
        if not self.readable:
            raise SystemError
        return self.its_headers

    def timestamp(self) -> tuple[int, int]:
        """Return kind and time."""
        return 1, self.its_timestamp

    @property
    def payload(self) -> dict[str, Any]:
        """The JSON of a verdict or a flag; a tombstone's is empty."""
        found: dict[str, Any] = json.loads(self.its_value or b"{}")
        return found

    def with_payload(self, **changes: object) -> "Said":
        """Return a verdict that says something else."""
        return self._replace(its_value=json.dumps(self.payload | changes).encode())

    @property
    def source(self) -> tuple[int, int]:
        """Partition and offset of the comment that a verdict or a dead letter speaks of."""
        found = dict(self.its_headers)
        if f"{HEADER_PREFIX}reason" in found:
            names = (f"{HEADER_PREFIX}source.partition", f"{HEADER_PREFIX}source.offset")
            number, offset = (int(found[name] or b"-1") for name in names)
            return number, offset
        source = self.payload["source"]
        return source["partition"], source["offset"]


@dataclass(frozen=True)
class Contents:
    """What stands on the topics. Outcomes are numbered anew when they are looked at."""

    comments: Sequence[Said]
    verdicts: Sequence[Said] = field(default=())
    flags: Sequence[Said] = field(default=())
    dead_letters: Sequence[Said] = field(default=())

    def changed(self, topic: str, change: Callable[[list[Said]], Iterable[Said]]) -> "Contents":
        """Return contents with another topic in place of one."""
        return replace(self, **{topic: list(change(list(getattr(self, topic))))})

    def without(self, topic: str, unwanted: Callable[[Said], bool]) -> "Contents":
        """Return contents that lack some records of a topic."""
        return self.changed(topic, lambda all_: [m for m in all_ if not unwanted(m)])

    def without_outcomes(self, *sources: tuple[int, int]) -> "Contents":
        """Return contents in which nobody ever judged the comments at these places."""
        found = self
        for topic in ("verdicts", "flags", "dead_letters"):
            found = found.without(
                topic, lambda m: (m.value() is not None or _ours(m)) and m.source in sources
            )
        return found


def honest(
    comments: Sequence[Record], partitions: int = 3, emptied: Iterable[int] = ()
) -> Contents:
    """Return what a worker publishes of comments, in one window a partition of them.

    Args:
        comments: partition by partition, each in order.
        partitions: of the outcomes' topics.
        emptied: indices of comments whose payload the broker refuses.
    """
    outcomes: list[Outcome] = list(make_judged(comments).outcomes) if comments else []
    judge = make_judge()
    for index in (n for n in emptied if not isinstance(outcomes[n].entry, Erasure)):
        outcomes[index : index + 1] = without_culprits(
            outcomes[index : index + 1], {0: "MSG_SIZE_TOO_LARGE"}, judge
        )
    by_topic: dict[str, list[Said]] = defaultdict(list)
    for outcome in outcomes:
        for m in outcome.messages:
            number = zlib.crc32(m.key or b"") % partitions
            by_topic[m.topic].append(Said(number, -1, m.key, m.value, tuple(m.headers)))
    return Contents(
        [_said(record) for record in comments],
        by_topic[TOPICS.verdicts],
        by_topic[TOPICS.flags],
        by_topic[TOPICS.dead_letters],
    )


def findings_of(  # noqa: PLR0913 - what a cluster would tell
    contents: Contents,
    *,
    starts: Sequence[int] | None = None,
    cuts: Sequence[int] | None = None,
    ends: Sequence[int] | None = None,
    memories: Memories = Memories(),  # noqa: B008 - frozen
    repeats: bool = False,
    batch: int = 7,
    files: int = 4,
) -> Findings:
    """Hold the rules against contents. By default all comments are committed."""
    tops = tops_of(contents.comments)
    starts, cuts = starts or [0] * len(tops), cuts or tops
    ends = ends or cuts
    with TemporaryDirectory() as folder:
        books = Books(TOPICS, Ledger(starts, tops), Path(folder), files, repeats=repeats)
        _read(books.read_letters, _numbered(contents.dead_letters), batch)
        _read(books.read_verdicts, _numbered(contents.verdicts), batch)
        _read(books.read_flags, _numbered(contents.flags), batch)
        below = [m for m in contents.comments if m.offset() < ends[m.partition()]]
        above = [m for m in below if m.offset() >= starts[m.partition()]]
        _read(books.read_comments, above, batch)
        scope = Scope(starts, cuts, ends, whole=not any(starts))
        Stories(books, scope, memories)()
        Places(books, scope, memories)()
        return books.findings


def tops_of(comments: Iterable[Said]) -> list[int]:
    """Return the offset behind the last comment of each partition."""
    tops: dict[int, int] = defaultdict(int)
    for message in comments:
        tops[message.partition()] = max(tops[message.partition()], message.offset() + 1)
    return [tops[number] for number in range(max(tops, default=0) + 1)]


def varied(count: int = 60, keys: int = 9, partitions: int = 2) -> list[Record]:
    """Return comments, revised ones, erasures, and records that nobody can judge."""
    records = []
    for number in range(count):
        name = f"k{number % keys}"
        place = zlib.crc32(name.encode()) % partitions
        key: bytes | None = name.encode()
        value: bytes | None = value_of(f"comment {number}", name)
        if number % 11 == 5:
            value = None
        elif number % 13 == 7:
            value = b"{broken"
        elif number % 17 == 9:
            key, value = None, value_of("no key", f"lost {number}")
        elif number % 19 == 3:
            key, value = None, b"neither key nor sense"
        elif number % 23 == 8:
            key = b"another key"
        headers = [("a", b"1"), ("a", None), ("tidegate.reason", b"mine")] if number % 2 else []
        records.append(make_record(number, value, key, partition=place, headers=headers))
    return sorted(records, key=lambda record: (record.partition.number, record.offset))


def _ours(message: Said) -> bool:
    return f"{HEADER_PREFIX}source.offset" in dict(message.its_headers)


def _said(record: Record) -> Said:
    return Said(
        record.partition.number,
        record.offset,
        record.key,
        record.value,
        tuple(record.headers),
        record.headers_readable,
        record.timestamp,
    )


def _numbered(messages: Iterable[Said]) -> list[Said]:
    ends: dict[int, int] = defaultdict(int)
    found = []
    for message in messages:
        number = message.partition()
        found.append(message._replace(its_offset=ends[number]))
        ends[number] += 1 + ends[number] % 3  # with gaps, as transactions leave them
    return found


def _read(take: Callable[[Sequence[Said]], None], messages: Sequence[Said], batch: int) -> None:
    for start in range(0, len(messages), batch):
        take(messages[start : start + batch])
