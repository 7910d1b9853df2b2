"""Reconciling on one page: look at the offsets, read the outcomes, read the comments, compare.

The order makes it sound while workers run. First the group's offsets are noted: below them
each comment must have its outcome. Then the ends of the outcomes' topics, open transactions
included: what belongs to the noted offsets was written before them, so it stands below these
ends, and the topics are read read-committed until these are reached. Then the offsets are
noted once more: whatever outcome was seen belongs to a transaction that has ended, so from
here on none may have been.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, time
from typing import Any, Final
from uuid import uuid4

from deploy.reconcile.books import Books
from deploy.reconcile.cluster import Cluster, UnreadableError
from deploy.reconcile.findings import Findings, Promise
from deploy.reconcile.ledger import Ledger
from deploy.reconcile.memory import memory_of
from deploy.reconcile.place import place
from deploy.reconcile.places import Places
from deploy.reconcile.progress import Progress
from deploy.reconcile.read import Reading
from deploy.reconcile.report import Report
from deploy.reconcile.scope import Memories, Memory, Scope
from deploy.reconcile.since import Since
from deploy.reconcile.spill import files_for
from deploy.reconcile.stories import Stories
from deploy.reconcile.watch import Watch
from schemas.errors import ClusterError
from worker.settings import Settings

ALL: Final = tuple(Promise)


@dataclass(frozen=True, slots=True)
class Log:
    """A topic as it lies there: where its partitions begin and end."""

    topic: str
    begins: Sequence[int]
    ends: Sequence[int]
    readable: bool = True


def reconcile(settings: Settings, since: Since, say: Callable[[str], None]) -> Report:
    """Read the topics, and prove or refute what tidegate promises.

    Args:
        settings: the worker's.
        since: from where on.
        say: takes lines of progress.
    """
    started = monotonic()
    try:
        with (
            closing(Cluster(settings)) as cluster,
            TemporaryDirectory(prefix="tidegate-reconcile-") as folder,
        ):
            return Reconciliation(settings, since, cluster, Path(folder), say)()
    except (UnreadableError, ClusterError) as error:
        findings = Findings()
        findings.doubt_all(ALL, str(error))
        return Report(findings, seconds=monotonic() - started)


class Reconciliation:
    """One look at a cluster."""

    def __init__(
        self,
        settings: Settings,
        since: Since,
        cluster: Cluster,
        folder: Path,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._topics = settings.topics
        self._since = since
        self._cluster = cluster
        self._folder = folder
        self._progress = Progress(say)
        self._started = monotonic()
        self._reader = cluster.properties(f"{settings.kafka.group_id}-reconcile-{uuid4()}")

    def __call__(self) -> Report:
        """Look, read, compare.

        Raises:
            UnreadableError: comments, verdicts or the group cannot be looked at.
        """
        topics = self._topics
        watch = Watch(self._cluster, topics.comments)
        if all(offset is None for offset in watch.first):
            group = self._settings.kafka.group_id
            raise UnreadableError(f"group {group} has committed nothing on {topics.comments}")
        verdicts = self._log(topics.verdicts)
        letters = self._log_if_readable(topics.dead_letters)
        flags = self._log_if_readable(topics.flags)
        comments = self._log(topics.comments)
        starts = self._starts(comments)
        books = self._books(comments, starts, [letters, verdicts, flags])

        letters = self._read_if_readable(letters, books.read_letters, watch)
        self._read(verdicts, verdicts.begins, verdicts.ends, books.read_verdicts, watch)
        flags = self._read_if_readable(flags, books.read_flags, watch)
        scope = self._scope(comments, starts, watch, books.findings)
        self._read(comments, starts, scope.ends.tolist(), books.read_comments, watch)

        memories = self._memories(books, starts, verdicts, flags, letters)
        self._doubts(books.findings, comments, starts, scope, [verdicts, flags, letters])
        self._progress.compare()
        Stories(books, scope, memories)()
        Places(books, scope, memories)()
        watch.look()
        watch.tell(books.findings)
        return Report(
            books.findings,
            books.counts,
            [(s, max(s, c)) for s, c in zip(starts, scope.cuts.tolist(), strict=True)],
            topics.comments,
            watch.looks,
            watch.seconds,
            monotonic() - self._started,
        )

    # -- what there is

    def _log(self, topic: str) -> Log:
        return Log(topic, self._cluster.begins(topic), self._cluster.ends(topic))

    def _log_if_readable(self, topic: str) -> Log:
        try:
            return self._log(topic)
        except UnreadableError:
            return Log(topic, [], [], readable=False)

    def _starts(self, comments: Log) -> list[int]:
        """Return the first offset of each partition that is looked at."""
        wanted = list(comments.begins)
        if self._since.time_ms is not None:
            wanted = self._cluster.at(comments.topic, self._since.time_ms)
        for number, offset in self._since.offsets:
            if number < len(wanted):
                wanted[number] = offset
        return [max(w, begin) for w, begin in zip(wanted, comments.begins, strict=True)]

    def _books(self, comments: Log, starts: list[int], outcomes: Sequence[Log]) -> Books:
        logs = [comments, *outcomes]
        records = max(sum(log.ends) - sum(log.begins) for log in logs)
        return Books(
            self._topics,
            Ledger(starts, comments.ends),
            self._folder,
            files_for(records),
            repeats=self._settings.publish.delivery == "at-least-once",
        )

    def _scope(self, comments: Log, starts: list[int], watch: Watch, findings: Findings) -> Scope:
        """Take the second look, and say which offsets must, may and must not have an outcome."""
        second = watch.look()
        cuts = [start if o is None else o for start, o in zip(starts, watch.first, strict=True)]
        ends = [start if o is None else o for start, o in zip(starts, second, strict=True)]
        tops = comments.ends  # taken after the first look, before the second
        beyond = [place(n, o) for n, (o, top) in enumerate(zip(cuts, tops, strict=True)) if o > top]
        what = "committed offsets beyond the end of the log: the topic was made anew"
        findings.doubt(Promise.OUTCOMES, what, comments.topic, beyond)
        return Scope(
            starts,
            [min(o, top) for o, top in zip(cuts, tops, strict=True)],
            [min(o, top) for o, top in zip(ends, tops, strict=True)],
            whole=not any(starts),
        )

    # -- reading

    def _read(
        self,
        log: Log,
        begins: Sequence[int],
        ends: Sequence[int],
        take: Callable[[Sequence[Any]], None],
        watch: Watch,
    ) -> None:
        spans = [max(0, end - begin) for begin, end in zip(begins, ends, strict=True)]
        self._progress.begin(log.topic, sum(spans))
        for batch in Reading(log.topic, begins, ends, watch.glance).batches(self._reader):
            take(batch)
            self._progress.read(len(batch))

    def _read_if_readable(
        self, log: Log, take: Callable[[Sequence[Any]], None], watch: Watch
    ) -> Log:
        try:
            self._read(log, log.begins, log.ends, take, watch)
        except UnreadableError:
            return Log(log.topic, log.begins, log.ends, readable=False)
        return log

    # -- what the topics may have forgotten

    def _memories(
        self, books: Books, starts: list[int], verdicts: Log, flags: Log, letters: Log
    ) -> Memories:
        age_ms = max(0, int(time() * 1000) - books.oldest_ms)
        topic = self._topics.comments
        begins_now = self._cluster.begins(topic)
        moved = any(now > start for now, start in zip(begins_now, starts, strict=True))
        config = self._cluster.configuration(topic) or {"cleanup.policy": "compact"}
        compacted = "compact" in config["cleanup.policy"]
        return Memories(
            comments=Memory(superseded=compacted, beginning=moved),
            verdicts=self._memory(verdicts, age_ms),
            flags=self._memory(flags, age_ms),
            letters=self._memory(letters, age_ms),
        )

    def _memory(self, log: Log, age_ms: int) -> Memory:
        if not log.readable:
            return Memory(beginning=True, unread=True)
        config = self._cluster.configuration(log.topic)
        return memory_of(config, log.begins, log.ends, age_ms)

    def _doubts(
        self,
        findings: Findings,
        comments: Log,
        starts: list[int],
        scope: Scope,
        outcomes: Sequence[Log],
    ) -> None:
        """Say what could not be looked at at all."""
        exact = dict(self._since.offsets)
        cut_off = [
            place(number, begin)
            for number, (begin, start) in enumerate(zip(comments.begins, starts, strict=True))
            if begin == start > 0 and exact.get(number, -1) < begin
        ]
        what = "partitions begin here: what came before is gone (see --since)"
        findings.doubt(Promise.OUTCOMES, what, comments.topic, cut_off)
        if not (scope.cuts > scope.starts).any():
            findings.doubt_all([Promise.OUTCOMES], "no committed comment is in what is looked at")
        for log, promise in zip(
            outcomes, (Promise.OUTCOMES, Promise.FLAGS, Promise.LETTERS), strict=True
        ):
            if not log.readable:
                what = f"topic {log.topic} does not exist, or this user may not read it"
                findings.doubt_all([promise], what)
            elif scope.whole and promise is Promise.OUTCOMES:
                begun = [place(n, begin) for n, begin in enumerate(log.begins) if begin]
                what = "partitions begin here: repeats before would not be seen"
                findings.doubt(Promise.IDS, what, log.topic, begun)
