"""What was found: for each promise what refutes it, and what leaves it unproven."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np

from deploy.reconcile.place import Numbers, Position, position

MOST_SHOWN: Final = 5


class Promise(StrEnum):
    """What tidegate promises, in the words of the report."""

    OUTCOMES = "each committed comment has exactly one outcome"
    ORIGINS = "each outcome has its comment"
    IDS = "no id twice, each the one of its place"
    ORDER = "outcomes of a key keep the order of its comments"
    OFFSETS = "committed offsets only grow"
    FLAGS = "each flag has its verdict, each verdict that asks for an action its flag"
    LETTERS = "dead letters are the bytes that came"


class Answer(StrEnum):
    """What can be said of a promise, or of all."""

    PROVEN = "proven"
    REFUTED = "refuted"
    UNPROVEN = "unproven"


@dataclass
class Finding:
    """One thing that was found, how often, and where first."""

    promise: Promise
    answer: Answer
    what: str
    count: int = 0
    first: list[Position] = field(default_factory=list)


class Findings:
    """All that was found; of each thing the first few positions are kept."""

    def __init__(self) -> None:
        self._found: dict[tuple[Promise, Answer, str], Finding] = {}

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found.values())

    def refute(
        self, promise: Promise, what: str, topic: str, places: Numbers | Sequence[int]
    ) -> None:
        """Note what breaks a promise, at these places of a topic; none is nothing."""
        self._add(promise, Answer.REFUTED, what, topic, places)

    def doubt(
        self, promise: Promise, what: str, topic: str, places: Numbers | Sequence[int]
    ) -> None:
        """Note what leaves a promise unproven, at these places of a topic; none is nothing."""
        self._add(promise, Answer.UNPROVEN, what, topic, places)

    def doubt_all(self, promises: Sequence[Promise], what: str) -> None:
        """Note what leaves promises unproven, with no place to point at."""
        for promise in promises:
            self._finding(promise, Answer.UNPROVEN, what).count += 1

    def of(self, promise: Promise) -> list[Finding]:
        """Return what was found about a promise."""
        return [finding for finding in self._found.values() if finding.promise is promise]

    def answer(self, promise: Promise | None = None) -> Answer:
        """Say what can be said of a promise, or of all."""
        found = self._found.values() if promise is None else self.of(promise)
        answers = {finding.answer for finding in found}
        if Answer.REFUTED in answers:
            return Answer.REFUTED
        return Answer.UNPROVEN if answers else Answer.PROVEN

    def _add(
        self,
        promise: Promise,
        answer: Answer,
        what: str,
        topic: str,
        places: Numbers | Sequence[int],
    ) -> None:
        if not len(places):
            return
        finding = self._finding(promise, answer, what)
        finding.count += len(places)
        least = np.sort(np.asarray(places, dtype=np.int64))[:MOST_SHOWN]
        positions = [position(topic, where) for where in least.tolist()]
        finding.first = sorted({*finding.first, *positions})[:MOST_SHOWN]

    def _finding(self, promise: Promise, answer: Answer, what: str) -> Finding:
        return self._found.setdefault((promise, answer, what), Finding(promise, answer, what))
