"""Comments to answers: the rooms from prepare to judge, over a batch of requests."""

from collections.abc import Callable, Sequence
from itertools import count
from time import time
from typing import Final, NamedTuple

import numpy as np

from schemas.comment import CommentEvent
from worker.judge import DECIMALS, Judge
from worker.prepare import Prepare
from worker.window import (
    Claim,
    Comment,
    Fetched,
    Outcome,
    Partition,
    Prepared,
    Record,
    Refusal,
    Scored,
)

PLACE: Final = Partition("api", 0)  # where a comment stands that came over no topic


class Answer(NamedTuple):
    """What is said of one comment.

    Attributes:
        scores: probabilities in the bundle's order of labels; empty if it could not be scored.
        labels: those over the policy's thresholds.
        action: what the policy asks for.
        truncated: parts of a very long comment were not scored.
        pieces: into which it was cut.
        reason: why it could not be scored.
    """

    scores: Sequence[float]
    labels: Sequence[str]
    action: str
    truncated: bool
    pieces: int
    reason: str | None = None


class Rooms:
    """Prepare, score and judge, as a worker has them; called from one thread."""

    def __init__(self, prepare: Prepare, score: Callable[[Prepared], Scored], judge: Judge) -> None:
        self._prepare = prepare
        self._score = score
        self._judge = judge
        self._offsets = count()

    def __call__(self, comments: Sequence[CommentEvent]) -> list[Answer]:
        """Judge comments, all at once, in their order.

        Raises:
            ScoringError: the device is in no state to go on.
        """
        now_ms = int(time() * 1000)
        records = [
            Record(PLACE, next(self._offsets), None, now_ms, comment.id.encode(), None, ())
            for comment in comments
        ]
        scored = self._score(self._prepare.decoded(Fetched(Claim({}), records), comments))
        rows = iter(np.round(scored.scores, DECIMALS).tolist())
        return [
            _answer(outcome, next(rows) if isinstance(entry, Comment) else ())
            for entry, outcome in zip(
                scored.prepared.entries, self._judge(scored).outcomes, strict=True
            )
        ]


def _answer(outcome: Outcome, scores: Sequence[float]) -> Answer:
    entry, action = outcome.entry, str(outcome.action)
    if isinstance(entry, Comment):
        return Answer(scores, outcome.labels, action, entry.truncated, len(entry.pieces))
    reason = str(entry.reason) if isinstance(entry, Refusal) else None
    return Answer((), (), action, truncated=False, pieces=0, reason=reason)
