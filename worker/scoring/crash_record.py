"""Which comments were on the device when processes ended: a file that outlives them.

A comment over which the engine crashes or hangs ends every process that is given it, and its
partition would stand still. So what is about to be scored is written down before, as the suspicion
that would be true if this process ended now; the next process reads what came true. Where two
suspicions overlap, the culprit is in both.

The file has to outlive the process, not the machine: it is written and not synced.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Self

import structlog
from pydantic import BaseModel, NonNegativeInt, PositiveInt, ValidationError

from schemas.errors import SettingsError
from worker.window import Partition, Record

log = structlog.get_logger()

ALONE_FROM: Final = 2  # processes that ended over a window: its comments are scored alone
CONDEMNED_FROM: Final = 4  # that ended over one comment, two of them while it was alone
MOST_CONDEMNED: Final = (
    1_000  # the oldest are forgotten; a comment comes again only until committed
)


class Position(NamedTuple):
    """Where a comment stands."""

    partition: Partition
    offset: NonNegativeInt


class Suspects(NamedTuple):
    """Offsets of a partition, one of which may be a comment that ends processes."""

    partition: Partition
    first: NonNegativeInt
    last: NonNegativeInt
    ends: PositiveInt  # processes that ended while these were on the device

    def narrowed(self, before: "Suspects | None") -> "Suspects":
        """Return what is left of an older suspicion when this one comes true, too."""
        if before is None or before.last < self.first or self.last < before.first:
            return self
        first, last = max(self.first, before.first), min(self.last, before.last)
        return self._replace(first=first, last=last, ends=before.ends + 1)


class Kept(BaseModel):
    """What the file holds: a line of JSON."""

    suspects: list[Suspects] = []  # one for a partition
    condemned: list[Position] = []


class CrashRecord:
    """The suspicions of processes before this one, and the one that this would leave.

    As a context: that it ends in an orderly way leaves no suspicion. Else called from one thread.

    Args:
        file: is made if it is not there; its folder must be.

    Raises:
        SettingsError: it cannot be read and written.
    """

    def __init__(self, file: Path) -> None:
        try:
            self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            found = os.pread(self._file, os.fstat(self._file).st_size, 0)
        except OSError as error:
            raise SettingsError(
                f"TIDEGATE_SCORING__CRASH_RECORD: {file}: {error.strerror}",
                "name a file that this user may write, in a folder that is there",
            ) from error
        kept = _parsed(found)
        proven = [Position(s.partition, s.first) for s in kept.suspects if _is_proven(s)]
        # Where one is proven, what stood beside it on the device is suspected no longer.
        self._suspects = {} if proven else {s.partition: s for s in kept.suspects}
        self._condemned = [*kept.condemned, *proven][-MOST_CONDEMNED:]
        self._came_true = False
        for suspects in kept.suspects:
            log.warning("processes ended over comments", **_named(suspects))
        self._write(self._suspects)

    @property
    def has_suspects(self) -> bool:
        """Whether there are comments that are to be scored alone."""
        return any(suspects.ends >= ALONE_FROM for suspects in self._suspects.values())

    def suspected(self, record: Record) -> bool:
        """Say whether a comment is to be scored alone."""
        suspects = self._suspects.get(record.partition)
        return (
            suspects is not None
            and suspects.ends >= ALONE_FROM
            and suspects.first <= record.offset <= suspects.last
        )

    def condemned(self, record: Record) -> bool:
        """Say whether a comment is not to be scored: it ends processes."""
        return (record.partition, record.offset) in self._condemned

    @contextmanager
    def on_device(self, records: Sequence[Record]) -> Iterator[None]:
        """Suspect these, should the process end in the block; an error in it is such an end."""
        would_be = {
            partition: suspects.narrowed(self._suspects.get(partition))
            for partition, suspects in _ranges(records).items()
        }
        self._write(self._suspects | would_be)
        try:
            yield
        except BaseException:
            self._came_true = True
            raise
        self._write(self._suspects)

    def passed(self, records: Sequence[Record]) -> None:
        """Suspect these no longer: they were scored."""
        if not self._suspects:
            return
        for partition, done in _ranges(records).items():
            before = self._suspects.get(partition)
            if before is None:
                continue
            rest = before._replace(first=max(before.first, done.last + 1))
            if rest.first > rest.last:
                del self._suspects[partition]
            else:
                self._suspects[partition] = rest
            self._write(self._suspects)

    def __enter__(self) -> Self:
        """Give the record."""
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever the process ends for, it is not what is being scored, unless that failed."""
        if not self._came_true:
            self._write(self._suspects)

    def _write(self, suspects: Mapping[Partition, Suspects]) -> None:
        """Replace the line in one call; behind its end may stand what is left of a longer one."""
        kept = Kept(suspects=[*suspects.values()], condemned=self._condemned)
        os.pwrite(self._file, kept.model_dump_json().encode() + b"\n", 0)


def _is_proven(suspects: Suspects) -> bool:
    return suspects.first == suspects.last and suspects.ends >= CONDEMNED_FROM


def _parsed(found: bytes) -> Kept:
    line = found.partition(b"\n")[0]
    try:
        return Kept.model_validate_json(line) if line else Kept()
    except ValidationError:
        log.warning("crash record cannot be read: begun anew")
        return Kept()


def _named(suspects: Suspects) -> dict[str, str | int]:
    topic, number = suspects.partition
    return {
        "topic": topic,
        "partition": number,
        "first_offset": suspects.first,
        "last_offset": suspects.last,
        "ends": suspects.ends,
    }


def _ranges(records: Sequence[Record]) -> dict[Partition, Suspects]:
    """Return from where to where a window's records reach, for each of its partitions.

    Within a partition they stand in order.
    """
    lasts = {record.partition: record.offset for record in records}
    firsts = {record.partition: record.offset for record in reversed(records)}
    return {
        partition: Suspects(partition, firsts[partition], last, 1)
        for partition, last in lasts.items()
    }
