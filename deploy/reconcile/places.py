"""The rules that go offset by offset: exactly one outcome, and none out of nowhere."""

from typing import Final

import numpy as np

from deploy.reconcile.books import Books
from deploy.reconcile.findings import Promise
from deploy.reconcile.ledger import Mark, Marks
from deploy.reconcile.place import MIX, Mask, Numbers
from deploy.reconcile.scope import Memories, Scope

EITHER: Final = Mark.VERDICT | Mark.LETTER


class Places:
    """Holds the rules against books that are full, after the stories were told."""

    def __init__(self, books: Books, scope: Scope, memories: Memories) -> None:
        self._books = books
        self._scope = scope
        self._memories = memories
        self._topic = books.topics.comments

    def __call__(self) -> None:
        """Look at all offsets, and at all dead letters."""
        for places, marks in self._books.ledger.chunks():
            if not marks.any():
                continue
            must, may = self._scope.must(places), self._scope.may(places)
            self._count(marks[must])
            self._one_outcome(places[must], marks[must])
            self._of_a_record(places[may], marks[may])
            self._not_ahead(places[~may], marks[~may])
        for number in range(self._books.lettered.files):
            self._as_it_came(number)

    def _count(self, marks: Marks) -> None:
        kinds = marks & (Mark.RECORD | Mark.OWES | Mark.LETTER)
        self._books.counts["comments"] += int((marks & Mark.RECORD > 0).sum())
        self._books.counts["erasures"] += int((kinds == Mark.RECORD).sum())

    def _one_outcome(self, places: Numbers, marks: Marks) -> None:
        memories = self._memories
        owes = _all(marks, Mark.RECORD | Mark.OWES) & _none(marks, Mark.VERDICT)
        lettered = _all(marks, Mark.LETTER)
        gone = _all(marks, Mark.GONE) | memories.verdicts.beginning
        blind = _all(marks, Mark.BLIND)  # so that its key's story says nothing of its verdict
        doubtful = gone | (blind & ~lettered & memories.letters.beginning)
        doubtful |= blind & lettered & memories.verdicts.superseded
        self._refute("comments without an outcome", places[owes & ~lettered & ~doubtful])
        what = "dead letters without the verdict that holds their comment"
        self._refute(what, places[owes & lettered & ~doubtful])
        self._doubt("comments whose outcome may have been removed since", places[owes & doubtful])

        held, judged = _all(marks, Mark.HELD), _all(marks, Mark.VERDICT)
        self._refute("comments both scored and dead-lettered", places[judged & ~held & lettered])
        erasures = _all(marks, Mark.RECORD) & _none(marks, Mark.OWES | Mark.LETTER)
        self._refute("erasures that were judged", places[erasures & judged])
        alone = places[held & ~lettered & ~erasures]
        if memories.letters.beginning:
            self._doubt("held comments whose dead letter may have been removed since", alone)
        else:
            self._refute("held comments without a dead letter", alone)

    def _of_a_record(self, places: Numbers, marks: Marks) -> None:
        nothing = places[(marks & EITHER > 0) & _none(marks, Mark.RECORD)]
        memory = self._memories.comments
        findings = self._books.findings
        if memory.superseded or memory.beginning:
            what = "outcomes of comments that may have been removed since"
            findings.doubt(Promise.ORIGINS, what, self._topic, nothing)
        else:
            what = "outcomes of offsets at which no committed comment stands"
            findings.refute(Promise.ORIGINS, what, self._topic, nothing)

    def _not_ahead(self, places: Numbers, marks: Marks) -> None:
        """Exactly once, an outcome and the offset behind its comment show together."""
        ahead = places[marks & EITHER > 0]
        if self._books.repeats:
            self._books.counts["ahead of the committed offset"] += len(ahead)
            return
        what = "outcomes at or above the committed offset"
        self._books.findings.refute(Promise.ORIGINS, what, self._topic, ahead)

    def _as_it_came(self, number: int) -> None:
        """A dead letter has key, value and headers of its comment, or the hash of its value."""
        places, prints = self._books.lettered.file(number).T
        came_places, came_prints = self._books.letterable.file(number).T
        must = self._scope.must(places)
        places, prints = places[must], prints[must]
        is_there = np.isin(places, came_places)
        same = np.isin(places * MIX ^ prints, came_places * MIX ^ came_prints)
        what = "dead letters that are not what came"
        self._books.findings.refute(Promise.LETTERS, what, self._topic, places[is_there & ~same])

    def _refute(self, what: str, places: Numbers) -> None:
        self._books.findings.refute(Promise.OUTCOMES, what, self._topic, places)

    def _doubt(self, what: str, places: Numbers) -> None:
        self._books.findings.doubt(Promise.OUTCOMES, what, self._topic, places)


def _all(marks: Marks, wanted: Mark) -> Mask:
    found: Mask = (marks & wanted) == wanted
    return found


def _none(marks: Marks, wanted: Mark) -> Mask:
    found: Mask = (marks & wanted) == 0
    return found
