"""Comments to answers: the rooms from prepare to judge, over a batch of requests."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from time import time
from typing import NamedTuple
from uuid import uuid4

import numpy as np

from schemas.comment import CommentEvent
from schemas.dead_letter import Reason
from worker.begun import Begun
from worker.judge import DECIMALS, Judge
from worker.prepare import Prepare
from worker.window import (
    Claim,
    Comment,
    Fetched,
    Outcome,
    Outgoing,
    Partition,
    Prepared,
    Record,
    Refusal,
    Scored,
)


class Passing(CommentEvent):
    """A comment of which nothing may be kept: no message is ever made of it."""


class Answer(NamedTuple):
    """What is said of one comment.

    Attributes:
        scores: probabilities in the bundle's order of labels; empty if it could not be scored.
        labels: those over the policy's thresholds.
        action: what the policy asks for.
        truncated: parts of a very long comment were not scored.
        pieces: into which it was cut.
        reason: why it could not be scored.
        messages: for the stream, were it joined to one; none of what may not be kept.
        borderline: labels whose score is hardly over a threshold, or under it.
    """

    scores: Sequence[float]
    labels: Sequence[str]
    action: str
    truncated: bool
    pieces: int
    reason: str | None = None
    messages: Sequence[Outgoing] = ()
    borderline: Sequence[str] = ()


class Rooms:
    """Prepare, begin to score, and judge, as a worker does; called from one thread.

    A comment came over no topic. Its place is made up, and no other process has the same, since
    the verdict's id is made of it.
    """

    def __init__(
        self, prepare: Prepare, score: Callable[[Prepared], Begun[Scored]], judge: Judge
    ) -> None:
        self._prepare = prepare
        self._score = score
        self._judge = judge
        self._partition = Partition(f"api-{uuid4()}", 0)
        self._offsets = count()

    def __call__(self, comments: Sequence[CommentEvent]) -> Begun[list[Answer]]:
        """Begin to judge comments, all at once; the result has their answers in their order.

        Raises:
            ScoringError: the device is in no state to go on; from the result, too.
        """
        records = [self._record(comment) for comment in comments]
        scored = self._score(self._prepare.decoded(Fetched(Claim({}), records), comments))
        return scored.then(partial(self._answers, comments))

    def _answers(self, comments: Sequence[CommentEvent], scored: Scored) -> list[Answer]:
        rows = iter(np.round(scored.scores, DECIMALS).tolist())
        return [
            _answer(outcome, next(rows) if isinstance(entry, Comment) else (), comment)
            for comment, entry, outcome in zip(
                comments, scored.prepared.entries, self._judge(scored).outcomes, strict=True
            )
        ]

    def held(self, comment: CommentEvent, reason: Reason) -> Sequence[Outgoing]:
        """Return what is said of a comment that nobody judges; called from any thread."""
        if isinstance(comment, Passing):
            return ()
        refusal = Refusal(reason, "", comment.id, comment.community, comment.revision)
        return self._judge.outcome(self._record(comment), refusal).messages

    def _record(self, comment: CommentEvent) -> Record:
        now_ms = int(time() * 1000)
        key = comment.id.encode()
        return Record(self._partition, next(self._offsets), None, now_ms, key, None, ())


def _answer(outcome: Outcome, scores: Sequence[float], comment: CommentEvent) -> Answer:
    entry, action = outcome.entry, str(outcome.action)
    messages = () if isinstance(comment, Passing) else outcome.messages
    if isinstance(entry, Comment):
        pieces = len(entry.pieces)
        return Answer(
            scores,
            outcome.labels,
            action,
            entry.truncated,
            pieces,
            messages=messages,
            borderline=outcome.borderline,
        )
    reason = str(entry.reason) if isinstance(entry, Refusal) else None
    return Answer((), (), action, False, 0, reason, messages)
