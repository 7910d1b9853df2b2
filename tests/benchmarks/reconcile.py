"""How fast reconcile's books are filled and compared, and in how much memory; without a broker.

    PYTHONPATH=tests python -m benchmarks.reconcile 2000000

Verdicts of 500 bytes over six partitions, a flag for every tenth, no key twice.
"""

import resource
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Final

from deploy.reconcile.books import Books
from deploy.reconcile.ledger import Ledger
from deploy.reconcile.places import Places
from deploy.reconcile.scope import Memories, Scope
from deploy.reconcile.spill import files_for
from deploy.reconcile.stories import Stories
from rig.contents import TOPICS, Said
from schemas.verdict import verdict_id
from schemas.wire import encode

PARTITIONS: Final = 6
BATCH: Final = 10_000
LABELS: Final = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")


def comments(count: int) -> Iterator[Said]:
    """Yield comments, a key each."""
    for n in range(count):
        yield Said(n % PARTITIONS, n // PARTITIONS, b"comment-%d" % n, b"x" * 100)


def verdicts(count: int, step: int = 1) -> Iterator[Said]:
    """Yield verdicts; every tenth asks for an action."""
    for n in range(0, count, step):
        number, offset = n % PARTITIONS, n // PARTITIONS
        value = encode(
            {
                "verdict_id": verdict_id("comments", number, offset, "v"),
                "comment_id": f"comment-{n}",
                "revision": 0,
                "community": "c",
                "status": "scored",
                "scores": dict.fromkeys(LABELS, 0.123456),
                "labels": [],
                "action": "allow" if n % 10 else "review",
                "truncated": False,
                "model": {"name": "tide", "version": "v"},
                "policy": "p",
                "scored_at": "2026-01-01T00:00:00.000+00:00",
                "source": {
                    "topic": "comments",
                    "partition": number,
                    "offset": offset,
                    "timestamp": 0,
                },
            }
        )
        yield Said(number, offset, b"comment-%d" % n, value)


def batches(messages: Iterator[Said]) -> Iterator[Sequence[Said]]:
    """Cut messages as the reader does."""
    while batch := list(islice(messages, BATCH)):
        yield batch


def rss_mb() -> float:
    """Return the most memory that the process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(count: int) -> None:
    """Fill and compare; print seconds of CPU of ours alone, without making the messages."""
    print(f"before: {rss_mb():.0f} MB")
    tops = [count // PARTITIONS + 1] * PARTITIONS
    with TemporaryDirectory() as folder:
        books = Books(
            TOPICS, Ledger([0] * PARTITIONS, tops), Path(folder), files_for(count), repeats=False
        )
        for name, take, messages in (
            ("verdicts", books.read_verdicts, verdicts(count)),
            ("flags", books.read_flags, verdicts(count, 10)),
            ("comments", books.read_comments, comments(count)),
        ):
            seconds, read = 0.0, 0
            for batch in batches(messages):
                start = process_time()
                take(batch)
                seconds += process_time() - start
                read += len(batch)
            print(f"{name}: {read:,} at {read / seconds:,.0f}/s, {rss_mb():.0f} MB")
        scope = Scope([0] * PARTITIONS, tops, tops, whole=True)
        start = process_time()
        Stories(books, scope, Memories())()
        Places(books, scope, Memories())()
        seconds = process_time() - start
        disk = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        print(f"compared: {count / seconds:,.0f}/s, {rss_mb():.0f} MB, disk {disk / 1e6:,.0f} MB")
        print(books.findings.answer(), [(f.what, f.count) for f in books.findings])


if __name__ == "__main__":
    main(int(sys.argv[1]))
