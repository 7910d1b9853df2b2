"""Which comments were on the device when processes ended: a file that outlives them.

A comment over which the engine crashes or hangs ends every process that is given it, and its
partition would stand still. So what is about to be scored is written down before, as the suspicion
that would be true if this process ended now; the next process reads what came true. Where two
suspicions overlap, the culprit is taken to be in both; where it was not, what is suspected passes.

The file has to outlive the process, not the machine: it is written and not synced.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Final, NamedTuple, Self

import structlog
from pydantic import BaseModel, NonNegativeInt, PositiveInt, ValidationError

from schemas.errors import SettingsError
from worker.window import Partition, Record

log = structlog.get_logger()

ALONE_FROM: Final = 2  # processes that ended over a window: its comments are scored alone
CONDEMNED_FROM: Final = 4  # that ended over one comment, two of them while it was alone
MOST_CONDEMNED: Final = 100  # the oldest are forgotten: they were committed long ago
HUNG_S: Final = 5.0  # on the device, when the process gives up waiting for it


class Position(NamedTuple):
    """Where a comment stands; its timestamp tells it from one of another topic of that name."""

    partition: Partition
    offset: NonNegativeInt
    timestamp: int


class Suspects(NamedTuple):
    """Offsets of a partition, one of which may be a comment that ends processes."""

    partition: Partition
    first: NonNegativeInt
    last: NonNegativeInt
    timestamp: int  # of the first
    ends: PositiveInt  # processes that ended while these were on the device

    def overlaps(self, other: "Suspects") -> bool:
        """Say whether a comment is in both."""
        return self.first <= other.last and other.first <= self.last

    def narrowed(self, before: "Suspects") -> "Suspects":
        """Return what is left of an older suspicion when this one comes true, too."""
        begin = max(self, before, key=lambda suspects: suspects.first)
        last = min(self.last, before.last)
        return begin._replace(last=last, ends=before.ends + 1)


class Kept(BaseModel):
    """What the file holds: a line of JSON."""

    suspects: list[Suspects] = []  # one for a partition
    condemned: list[Position] = []


class CrashRecord:
    """The suspicions of processes before this one, and the one that this would leave.

    Called from the device's thread, but for the end of the context, in the main thread: from then
    on nothing is written.

    Args:
        file: is made if it is not there; its folder must be.

    Raises:
        SettingsError: it cannot be read and written.
    """

    def __init__(self, file: Path) -> None:
        self._lock = Lock()
        self._came_true = False
        self._on_device_since: float | None = None
        try:
            self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._closed = not _is_ours(self._file)
            found = os.pread(self._file, os.fstat(self._file).st_size, 0)
            if not self._closed:
                os.pwrite(self._file, found or b"\n", 0)
        except OSError as error:
            raise SettingsError(
                f"TIDEGATE_SCORING__CRASH_RECORD: {file}: {error.strerror}",
                "name a file that this user may write, in a folder that is there",
            ) from error
        if self._closed:
            log.warning("crash record is another process's: not used", file=str(file))
        kept = Kept() if self._closed else _parsed(found)
        proven = [Position(s.partition, s.first, s.timestamp) for s in kept.suspects if _proven(s)]
        # Where one is proven, what stood beside it on the device is suspected no longer.
        self._suspects = {} if proven else {s.partition: s for s in kept.suspects}
        self._condemned = dict.fromkeys([*kept.condemned, *proven][-MOST_CONDEMNED:])
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
        return Position(record.partition, record.offset, record.timestamp) in self._condemned

    @contextmanager
    def on_device(self, comments: Sequence[Record]) -> Iterator[None]:
        """Suspect these, should the process end in the block; an error in it is such an end."""
        self._write(self._suspects | self._would_be(comments))
        self._on_device_since = monotonic()
        try:
            yield
        except BaseException:
            self._came_true = True
            raise
        self._on_device_since = None
        self._write(self._suspects)

    def _would_be(self, comments: Sequence[Record]) -> dict[Partition, Suspects]:
        """Return whom to suspect should the process end over these.

        A suspicion that has comments scored alone is narrowed by a comment that is alone, and by
        nothing else.
        """
        alone = len(comments) == 1
        found = _ranges(comments)
        for partition, suspects in found.items():
            before = self._suspects.get(partition)
            if before is None or not suspects.overlaps(before):
                continue
            if alone or before.ends < ALONE_FROM:
                found[partition] = suspects.narrowed(before)
        return found

    def passed(self, comments: Sequence[Record]) -> None:
        """Suspect these no longer: they were scored."""
        if not self._suspects:
            return
        for partition, done in _ranges(comments).items():
            before = self._suspects.get(partition)
            if before is None:
                continue
            if done.last >= before.last:
                del self._suspects[partition]
            elif done.last >= before.first:
                self._suspects[partition] = before._replace(first=done.last + 1)
            self._write(self._suspects)

    def __enter__(self) -> Self:
        """Give the record."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave a suspicion where the device failed, or does not come back: there it ended.

        What else the process may end for is nothing that comments do. A comment that is scored
        alone has been on the device for a moment only.
        """
        since = self._on_device_since
        if not self._came_true and (since is None or monotonic() - since < HUNG_S):
            self._write(self._suspects)
        with self._lock:
            self._closed = True
            os.close(self._file)

    def _write(self, suspects: Mapping[Partition, Suspects]) -> None:
        """Replace the line in one call; behind its end may stand what is left of a longer one."""
        kept = Kept(suspects=[*suspects.values()], condemned=[*self._condemned])
        line = kept.model_dump_json().encode() + b"\n"
        with self._lock:
            if self._closed:
                return
            try:
                os.pwrite(self._file, line, 0)
            except OSError as error:  # comments are scored without it, too
                self._closed = True
                log.warning("crash record cannot be written: not used", why=error.strerror)


def _is_ours(file: int) -> bool:
    """Lock a file for as long as this process lives; say whether no other one has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _proven(suspects: Suspects) -> bool:
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


def _ranges(comments: Sequence[Record]) -> dict[Partition, Suspects]:
    """Return from where to where these reach, for each of their partitions.

    Within a partition they stand in order.
    """
    lasts = {record.partition: record for record in comments}
    firsts = {record.partition: record for record in reversed(comments)}
    return {
        partition: Suspects(partition, first.offset, lasts[partition].offset, first.timestamp, 1)
        for partition, first in firsts.items()
    }
