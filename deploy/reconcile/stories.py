"""The rules that go key by key: order, erasures, flags, and what compaction took away.

All records of a key lie in one file of each kind, and the files are small: each is sorted,
and a rule is a few comparisons of whole columns.
"""

from typing import Final, NamedTuple

import numpy as np

from deploy.reconcile.books import Books
from deploy.reconcile.facts import ASKS, HELD, Judged
from deploy.reconcile.findings import Promise
from deploy.reconcile.ledger import Mark
from deploy.reconcile.place import MIX, NOWHERE, OFFSET_BITS, Mask, Numbers
from deploy.reconcile.scope import Memories, Memory, Scope

MOST_ROWS: Final = 8_000_000  # of one file: 320 MB, and as much again to sort it

FOR_EVER: Final = 2**62


class Came(NamedTuple):
    """Comments and erasures, by column."""

    keys: Numbers
    places: Numbers


class Stories:
    """Holds the rules against books that are full."""

    def __init__(self, books: Books, scope: Scope, memories: Memories) -> None:
        self._books = books
        self._scope = scope
        self._memories = memories
        self._findings = books.findings
        self._topics = books.topics

    def __call__(self) -> None:
        """Look at all keys."""
        for number in range(self._books.came.files):
            self._file(number)

    def _file(self, number: int) -> None:
        books = self._books
        spills = (books.came, books.went, books.flagged)
        if sum(spill.rows_in(number) for spill in spills) > MOST_ROWS:
            self._pass_over(number)
            return
        came = Came(*_by_key(books.came.file(number)).T)
        went = Judged(*_by_key(books.went.file(number)).T)
        flagged = Judged(*_by_key(books.flagged.file(number)).T)
        self._removed_since(came, went)
        self._under_its_key(came, went)
        erased = self._erased(came)
        went = self._buried(erased, went, self._topics.verdicts, self._memories.verdicts)
        self._in_order(went)
        if not self._memories.flags.unread:
            self._buried(erased, flagged, self._topics.flags, self._memories.flags)
            self._flags(went, flagged)

    def _pass_over(self, number: int) -> None:
        """One key, or few, have so many records that they do not fit into memory."""
        what = f"keys that share more than {MOST_ROWS:,} records: not looked at"
        self._findings.doubt_all([Promise.ORDER, Promise.FLAGS, Promise.OUTCOMES], what)
        rows = self._books.came.rows_in(number)
        for start in range(0, rows, MOST_ROWS):
            came = Came(*self._books.came.file(number, start, MOST_ROWS).T)
            self._books.ledger.mark(came.places, np.full(len(came.places), Mark.GONE, np.uint8))

    # -- what compaction took away

    def _removed_since(self, came: Came, went: Judged) -> None:
        """Mark comments whose verdict is not there, and may have been: a later one replaced it."""
        if not self._memories.verdicts.superseded:
            return
        marks = self._books.ledger.marks(came.places)
        missing = (marks & (Mark.OWES | Mark.VERDICT)) == Mark.OWES
        gone = missing & (_latest(went, came.keys) > came.places)
        places = came.places[gone]
        self._books.ledger.mark(places, np.full(len(places), Mark.GONE, dtype=np.uint8))

    # -- whose verdict it is

    def _under_its_key(self, came: Came, went: Judged) -> None:
        """A scored comment has its id as its key, and so has its verdict."""
        scored = (went.places >= 0) & (went.bits & HELD == 0)
        places, keys = went.places[scored], went.keys[scored]
        ours = self._scope.may(places)
        ours[ours] = (self._books.ledger.marks(places[ours]) & Mark.RECORD) > 0
        strange = ours & ~_has(came, keys, places)
        self._findings.refute(
            Promise.ORIGINS,
            "verdicts under another key than the comment at their place",
            self._topics.verdicts,
            went.at[scored][strange],
        )

    # -- erasures

    def _erased(self, came: Came) -> Came:
        """Return the erasures, but for those that were refused."""
        marks = self._books.ledger.marks(came.places)
        mask = (marks & (Mark.OWES | Mark.LETTER | Mark.RECORD)) == Mark.RECORD
        return Came(came.keys[mask], came.places[mask])

    def _buried(self, erased: Came, went: Judged, topic: str, memory: Memory) -> Judged:
        """Match tombstones with erasures: the first of a key with its first, and so on.

        Returns:
            The outcomes, with tombstones standing for the place of their erasure.
        """
        stones = went.places == NOWHERE
        must = self._scope.must(erased.places)
        keys = np.union1d(erased.keys, went.keys[stones])
        least = _count(keys, erased.keys[must])
        most = _count(keys, erased.keys)
        found = _count(keys, went.keys[stones])
        self._missing_stones(erased, must, keys[found < least], went, topic, memory)
        self._extra_stones(keys, most, found, went, topic)
        # Where the numbers fit, and the key's erasures are of one partition, one stands for one.
        starts, ends = _bounds(keys, erased.keys)
        some_are_new = self._scope.whole and not memory.superseded  # the last, so that ranks hold
        fits = (found == most) | ((found >= least) & (found <= most) & some_are_new)
        fits &= (found > 0) & (ends > starts)
        if len(erased.places):
            one = (erased.places[np.minimum(starts, len(erased.places) - 1)] >> OFFSET_BITS) == (
                erased.places[np.maximum(ends - 1, 0)] >> OFFSET_BITS
            )
            fits &= one
        return self._stand_for(erased, went, stones, keys[fits])

    def _stand_for(self, erased: Came, went: Judged, stones: Mask, keys: Numbers) -> Judged:
        indices = np.flatnonzero(stones & np.isin(went.keys, keys))
        if not len(indices):
            return went
        its_keys = went.keys[indices]
        rank = np.arange(len(indices)) - np.searchsorted(its_keys, its_keys)
        places = went.places.copy()
        places[indices] = erased.places[np.searchsorted(erased.keys, its_keys) + rank]
        return went._replace(places=places)

    def _missing_stones(  # noqa: PLR0913, PLR0917 - all of one key's story
        self,
        erased: Came,
        must: Mask,
        keys: Numbers,
        went: Judged,
        topic: str,
        memory: Memory,
    ) -> None:
        mask = must & np.isin(erased.keys, keys)
        places, its_keys = erased.places[mask], erased.keys[mask]
        replaced = _latest(went, its_keys) > places
        doubtful = memory.stones | memory.beginning | (memory.superseded & replaced)
        if self._memories.letters.beginning:  # it may have been refused
            doubtful = np.ones(len(places), dtype=np.bool_)
        doubtful = np.broadcast_to(doubtful, places.shape)
        what = f"erasures with fewer tombstones on {topic} than there must be"
        self._findings.refute(Promise.OUTCOMES, what, self._topics.comments, places[~doubtful])
        what = f"erasures whose tombstone on {topic} may have been removed since"
        self._findings.doubt(Promise.OUTCOMES, what, self._topics.comments, places[doubtful])

    def _extra_stones(
        self, keys: Numbers, most: Numbers, found: Numbers, went: Judged, topic: str
    ) -> None:
        over = found > (np.where(most > 0, FOR_EVER, 0) if self._books.repeats else most)
        at = went.at[(went.places == NOWHERE) & np.isin(went.keys, keys[over])]
        input_forgets = self._memories.comments.superseded or self._memories.comments.beginning
        if self._scope.whole and input_forgets:
            what = "tombstones whose erasure may have been removed since"
            self._findings.doubt(Promise.ORIGINS, what, topic, at)
        elif self._scope.whole:
            what = "tombstones of keys that have fewer erasures"
            self._findings.refute(Promise.ORIGINS, what, topic, at)
        else:
            self._books.counts["tombstones of earlier erasures"] += len(at)

    # -- order

    def _in_order(self, went: Judged) -> None:
        """Outcomes of a key and a partition stand on one partition, in the comments' order.

        Only the first of those that are repeated counts: the rest is another rule's.
        """
        placed = went.places >= 0
        keys, at, places = went.keys[placed], went.at[placed], went.places[placed]
        _, first = np.unique(np.column_stack([keys, places]), axis=0, return_index=True)
        first.sort()
        keys, at, places = keys[first], at[first], places[first]
        order = np.lexsort((at, places >> OFFSET_BITS, keys))
        keys, at, places = keys[order], at[order], places[order]
        together = (np.diff(keys) == 0) & (np.diff(places >> OFFSET_BITS) == 0)
        apart = together & (np.diff(at >> OFFSET_BITS) != 0)
        late = together & ~apart & (np.diff(places) < 0)
        what = "comments whose outcome stands behind that of a later one of their key"
        self._findings.refute(Promise.ORDER, what, self._topics.comments, places[1:][late])
        what = "comments of keys that lie on several partitions: no order between those"
        self._findings.doubt(Promise.ORDER, what, self._topics.verdicts, at[1:][apart])

    # -- flags

    def _flags(self, went: Judged, flagged: Judged) -> None:
        """Each flag is the bytes of its verdict; each verdict that asks for an action has one.

        Where repeats may be, a worker that was killed may have sent one of the two, and the next
        try both: they have the same id then, and may differ in what the try decides.
        """
        asks = (went.bits & ASKS > 0) & self._scope.must(went.places)
        raised = (flagged.bits & ASKS > 0) & self._scope.must(flagged.places)
        asking, flags = _pick(went, asks), _pick(flagged, raised)
        exact = not self._books.repeats
        bare = ~np.isin(_pairs(asking, exact=exact), _pairs(flags, exact=exact))
        self._bare_verdicts(_pick(asking, bare), flagged)
        alone = ~np.isin(_pairs(flags, exact=True), _pairs(asking, exact=True))
        quiet = (flagged.places >= 0) & self._scope.must(flagged.places) & ~raised
        self._findings.refute(
            Promise.FLAGS, "flags that ask for nothing", self._topics.flags, flagged.at[quiet]
        )
        self._lone_flags(_pick(flags, alone))
        if exact:
            _, first = np.unique(flags.places, return_index=True)
            again = np.delete(flags.at, first)
            self._findings.refute(Promise.FLAGS, "flags raised twice", self._topics.flags, again)

    def _bare_verdicts(self, bare: Judged, flagged: Judged) -> None:
        memory = self._memories.flags
        replaced = _latest(flagged, bare.keys) > bare.places
        doubtful = np.broadcast_to(
            memory.beginning | (memory.superseded & replaced), bare.places.shape
        )
        what = "verdicts that ask for an action, without that flag"
        self._findings.refute(Promise.FLAGS, what, self._topics.verdicts, bare.at[~doubtful])
        what = "verdicts whose flag may have been removed since"
        self._findings.doubt(Promise.FLAGS, what, self._topics.verdicts, bare.at[doubtful])

    def _lone_flags(self, alone: Judged) -> None:
        within = self._books.ledger.within(alone.places)
        marks = np.zeros(len(alone.places), dtype=np.uint8)
        marks[within] = self._books.ledger.marks(alone.places[within])
        gone = (marks & Mark.GONE > 0) | self._memories.verdicts.beginning
        what = "flags without the same verdict"
        self._findings.refute(Promise.FLAGS, what, self._topics.flags, alone.at[~gone])
        what = "flags whose verdict may have been removed since"
        self._findings.doubt(Promise.FLAGS, what, self._topics.flags, alone.at[gone])


# -- columns


def _by_key(rows: Numbers) -> Numbers:
    """Sort rows by their first column, the key, and then by the second, where they stand."""
    return rows[np.lexsort((rows[:, 1], rows[:, 0]))]


def _pick(columns: Judged, mask: Mask) -> Judged:
    return Judged(*(column[mask] for column in columns))


def _bounds(keys: Numbers, among: Numbers) -> tuple[Numbers, Numbers]:
    """Return where each key begins and ends in a sorted column."""
    return np.searchsorted(among, keys), np.searchsorted(among, keys, side="right")


def _count(keys: Numbers, among: Numbers) -> Numbers:
    starts, ends = _bounds(keys, among)
    return ends - starts


def _has(came: Came, keys: Numbers, places: Numbers) -> Mask:
    """Say for each key and place whether a comment with that key stands there."""
    if not len(came.places):
        return np.zeros(len(places), dtype=np.bool_)
    order = np.argsort(came.places)
    found = np.minimum(np.searchsorted(came.places, places, sorter=order), len(order) - 1)
    found = order[found]
    has: Mask = (came.places[found] == places) & (came.keys[found] == keys)
    return has


def _latest(went: Judged, keys: Numbers) -> Numbers:
    """Return for each key the highest place that an outcome speaks of.

    A tombstone beats all, and so does a verdict of the API: it may have come after any.

    Places of another partition of comments compare by partition: a key has one, as a rule.
    """
    if not len(went.keys):
        return np.full(len(keys), NOWHERE, dtype=np.int64)
    firsts = np.flatnonzero(np.diff(went.keys, prepend=went.keys[0] - 1))
    heights = np.where(went.places < 0, FOR_EVER, went.places)
    highest = np.maximum.reduceat(heights, firsts)
    known = went.keys[firsts]
    found = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[found] == keys, highest[found], NOWHERE)


def _pairs(judged: Judged, *, exact: bool) -> Numbers:
    """Return a number for each place, and for its key and bytes, too, where it is `exact`."""
    mixed = judged.places * MIX
    return mixed ^ judged.prints ^ (judged.keys * MIX) if exact else mixed
