"""What was read of the four topics, kept in bounded memory until the rules are asked.

To be filled in this order: dead letters, verdicts, flags, and last the comments, since what
a comment owes depends on what became of it.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from deploy.reconcile import facts
from deploy.reconcile.facts import Judged, Message
from deploy.reconcile.findings import Findings, Promise
from deploy.reconcile.ledger import Ledger, Mark
from deploy.reconcile.place import BY_API, NOWHERE, Mask, Numbers
from deploy.reconcile.spill import Spill
from worker.settings import TopicSettings

MOST_VERSIONS: Final = 255


class Books:
    """What is known of comments and outcomes.

    Args:
        topics: what they are called.
        ledger: of the comments.
        folder: an empty one, for what does not fit into memory.
        files: into how many it is spread.
        repeats: at least once: a verdict may be repeated under its id.
    """

    def __init__(
        self, topics: TopicSettings, ledger: Ledger, folder: Path, files: int, *, repeats: bool
    ) -> None:
        self.topics = topics
        self.ledger = ledger
        self.repeats = repeats
        self.findings = Findings()
        self.counts: Counter[str] = Counter()
        self.oldest_ms = 2**62
        self.came = Spill(folder / "comments", 2, files)  # key, place
        self.went = Spill(folder / "verdicts", 5, files)  # as `Judged`
        self.flagged = Spill(folder / "flags", 5, files)  # as `Judged`
        self.lettered = Spill(folder / "letters", 2, files)  # place, print
        self.letterable = Spill(folder / "lettered", 2, files)  # place, print that it must have
        self._versions: dict[str, int] = {}
        self._flag_versions: dict[str, int] = {}
        # By offset, and untouched as long as one bundle judges.
        self._version_of = Ledger(ledger.starts.tolist(), ledger.tops.tolist())

    def read_letters(self, batch: Sequence[Message]) -> None:
        """Take dead letters."""
        topic = self.topics.dead_letters
        found = facts.letters(batch, self.topics.comments)
        self.counts["dead letters"] += len(batch)
        self._strangers(topic, found, Promise.LETTERS)
        rows = self._looked_at(found.rows, found.rows[:, 0], "dead letters")
        places, marks = rows[:, 0], rows[:, 2].astype(np.uint8)
        known = (self.ledger.marks(places) & Mark.LETTER) > 0
        again = known | ~self.ledger.mark(places, marks)
        self._repeated("dead letters", places[again], same=None)
        self.lettered.add(rows[:, :2])

    def read_verdicts(self, batch: Sequence[Message]) -> None:
        """Take verdicts and tombstones."""
        topic = self.topics.verdicts
        found = self._judged(batch, self._versions)
        self._strangers(topic, found, Promise.OUTCOMES)
        stones = found.rows[:, 2] == NOWHERE
        by_api = found.rows[:, 2] == BY_API
        self.counts["tombstones"] += int(stones.sum())
        self.counts["verdicts"] += len(batch) - int((stones | by_api).sum())
        self.counts["verdicts of the API"] += int(by_api.sum())
        self.went.add(found.rows)
        placed = found.rows[~stones & ~by_api]
        rows = self._looked_at(placed, placed[:, 2], "verdicts")
        verdicts = Judged(*rows.T)
        strange_id = verdicts.bits & facts.STRANGE_ID > 0
        what = "verdicts under an id that is not the one of their place and bundle"
        self.findings.refute(Promise.IDS, what, topic, verdicts.at[strange_id])
        strange_key = verdicts.bits & facts.STRANGE_KEY > 0
        what = "verdicts under another key than their comment's id"
        self.findings.refute(Promise.ORIGINS, what, topic, verdicts.at[strange_key])
        self._mark_verdicts(verdicts)

    def _mark_verdicts(self, verdicts: Judged) -> None:
        places = verdicts.places
        held = verdicts.bits & facts.HELD > 0
        self.counts["held"] += int(held.sum())
        marks = (Mark.VERDICT + Mark.HELD * held).astype(np.uint8)
        versions = np.minimum(verdicts.bits >> facts.VERSION_SHIFT, MOST_VERSIONS).astype(np.uint8)
        known = (self.ledger.marks(places) & Mark.VERDICT) > 0
        is_first = self.ledger.mark(places, marks) & ~known
        later = is_first & (versions > 0)
        self._version_of.mark(places[later], versions[later])
        again = ~is_first
        same = self._version_of.marks(places[again]) == versions[again]
        self._repeated("verdicts", places[again], same)

    def read_flags(self, batch: Sequence[Message]) -> None:
        """Take flags and tombstones."""
        found = self._judged(batch, self._flag_versions)
        self._strangers(self.topics.flags, found, Promise.FLAGS)
        self.counts["flags"] += int((found.rows[:, 2] >= 0).sum())
        self.counts["flags of the API"] += int((found.rows[:, 2] == BY_API).sum())
        self.flagged.add(found.rows)

    def _judged(self, batch: Sequence[Message], versions: dict[str, int]) -> facts.Facts:
        return facts.judged(batch, self.topics.comments, versions, repeats=self.repeats)

    def read_comments(self, batch: Sequence[Message]) -> None:
        """Take comments: the last topic to be read."""
        rows, marks, oldest = facts.comments(batch)
        places = rows[:, 1]
        within = self.ledger.within(places)  # else the log's start moved up meanwhile
        batch = [m for m, ok in zip(batch, within.tolist(), strict=True) if ok]
        rows, places, marks = rows[within], places[within], marks[within]
        self.oldest_ms = min(self.oldest_ms, oldest)
        known = self.ledger.marks(places)
        prints = []
        for number in np.flatnonzero(known & Mark.LETTER).tolist():
            message, has = batch[number], int(known[number])
            printed = facts.print_as_letter(message, emptied=bool(has & Mark.EMPTIED))
            prints.append((places[number], printed))
            its_id = facts.id_in(message, unopened=bool(has & Mark.BLIND))
            other_key = Mark.BLIND if its_id != message.key() else 0
            marks[number] = Mark.RECORD | (Mark.OWES if its_id else 0) | other_key
        if prints:
            self.letterable.add(np.array(prints, dtype=np.int64))
        self.ledger.mark(places, marks.astype(np.uint8))
        self.came.add(rows)

    def _looked_at(self, rows: Numbers, places: Numbers, what: str) -> Numbers:
        """Return the rows whose comment is looked at; what is of no offset is an offence."""
        within = self.ledger.within(places)
        beyond = places[~within & ~self.ledger.before(places)]
        self.findings.refute(
            Promise.ORIGINS, f"{what} of offsets that do not exist", self.topics.comments, beyond
        )
        return rows[within]

    def _repeated(self, what: str, places: Numbers, same: Mask | None) -> None:
        """Note outcomes of one kind that stand there more than once.

        Args:
            what: the kind.
            places: of the comments, once for each that is too many.
            same: whether each is of the same bundle as the first; None where it does not matter.
        """
        topic = self.topics.comments
        if same is not None:
            other = f"comments with {what} of two bundles"
            self.findings.refute(Promise.IDS, other, topic, places[~same])
            places = places[same]
        self.counts["repeats"] += len(places)
        if not self.repeats:
            promise = Promise.IDS if same is not None else Promise.OUTCOMES
            self.findings.refute(promise, f"comments with {what} more than once", topic, places)

    def _strangers(self, topic: str, found: facts.Facts, promise: Promise) -> None:
        what = "records of another shape: no outcome can be read from them"
        self.findings.doubt(promise, what, topic, found.shapeless)
        what = "outcomes of another topic of comments"
        self.findings.doubt(promise, what, topic, found.foreign)
