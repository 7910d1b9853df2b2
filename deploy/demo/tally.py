"""Counts what was played and what came out, and says whether each comment has one outcome."""

import math
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from schemas.verdict import Action, Flag, Status, Verdict

RECENT: Final = 1_000  # comments that the percentiles on the screen are taken over
RATE_S: Final = 5.0
LATEST_FLAGS: Final = 8


class Flagged(NamedTuple):
    """A flag and the text that it is about. The text stays in this process."""

    text: str
    verdict: Verdict


class Tally:
    """Used by one thread. All times are readings of one monotonic clock, in seconds.

    Args:
        started: when the demo began.
    """

    def __init__(self, started: float) -> None:
        self._started = started
        self._sent: dict[str, tuple[str, float]] = {}  # comment id -> text, when
        self._verdicts: Counter[str] = Counter()  # by comment id
        self._verdict_ids: set[UUID] = set()
        self._to_flag: set[UUID] = set()
        self._flags: Counter[UUID] = Counter()
        self._held: set[str] = set()
        self._dead_letters: Counter[str] = Counter()  # by comment id
        self._latencies: list[float] = []
        self._answered_at: deque[float] = deque()
        self._first_answer = self._last_answer = 0.0
        self.actions: Counter[Action] = Counter()
        self.labels: Counter[str] = Counter()
        self.latest: deque[Flagged] = deque(maxlen=LATEST_FLAGS)

    @property
    def comments(self) -> int:
        """How many comments were sent."""
        return len(self._sent)

    @property
    def verdicts(self) -> int:
        """How many verdicts came, repeats included."""
        return self._verdicts.total()

    @property
    def flags(self) -> int:
        """How many flags came, repeats included."""
        return self._flags.total()

    @property
    def held(self) -> int:
        """How many comments nobody judged."""
        return len(self._held)

    @property
    def dead_letters(self) -> int:
        """How many dead letters came, repeats included."""
        return self._dead_letters.total()

    @property
    def unanswered(self) -> int:
        """How many comments have no verdict yet."""
        return len(self._sent) - len(self._verdicts)

    def sent(self, comment_id: str, text: str, at: float) -> None:
        """Note that a comment goes out."""
        self._sent[comment_id] = text, at

    def verdict(self, verdict: Verdict, at: float) -> None:
        """Note a verdict that was read at a time."""
        comment_id = verdict.comment_id
        self._verdicts[comment_id] += 1
        self._verdict_ids.add(verdict.verdict_id)
        self.actions[verdict.action] += 1
        self.labels.update(verdict.labels)
        if verdict.status is Status.HELD:
            self._held.add(comment_id)
        if verdict.action is not Action.ALLOW:
            self._to_flag.add(verdict.verdict_id)
        if comment_id in self._sent:
            self._latencies.append(at - self._sent[comment_id][1])
        self._answered_at.append(at)
        self._first_answer = self._first_answer or at
        self._last_answer = at

    def flag(self, flag: Flag) -> None:
        """Note a flag."""
        self._flags[flag.verdict_id] += 1
        text, _ = self._sent.get(flag.comment_id, ("", 0))
        if flag.status is Status.SCORED:
            self.latest.append(Flagged(text, flag))

    def dead_letter(self, comment_id: str) -> None:
        """Note a dead letter."""
        self._dead_letters[comment_id] += 1

    def rate(self, now: float) -> float:
        """Return the verdicts a second of the last few seconds."""
        while self._answered_at and self._answered_at[0] < now - RATE_S:
            self._answered_at.popleft()
        return len(self._answered_at) / min(RATE_S, max(now - self._first_answer, 1.0))

    def recent_latency_ms(self, percent: float) -> float:
        """Return a percentile over the latest comments, in milliseconds."""
        return percentile(self._latencies[-RECENT:], percent) * 1000

    def problems(self) -> Iterator[str]:
        """Say where a comment has no outcome or more than one; nothing when all is well."""
        unknown = self._verdicts.keys() - self._sent.keys()
        twice = sum(1 for number in self._verdicts.values() if number > 1)
        findings = {
            "comments have no verdict": len(self._sent.keys() - self._verdicts.keys()),
            "comments have more than one verdict": twice,
            "verdicts are of comments that were never sent": len(unknown),
            "verdict ids stand on several verdicts": self.verdicts - len(self._verdict_ids),
            "verdicts lack their flag": len(self._to_flag - self._flags.keys()),
            "flags have no verdict": len(self._flags.keys() - self._to_flag),
            "flags are repeated": self.flags - len(self._flags),
            "held comments have no dead letter": len(self._held - self._dead_letters.keys()),
            "dead letters have no held verdict": len(self._dead_letters.keys() - self._held),
            "dead letters are repeated": self.dead_letters - len(self._dead_letters),
        }
        return (f"{number:,} {finding}" for finding, number in findings.items() if number)

    def summary(self) -> dict[str, Any]:
        """Return the figures of the run: what `--json` prints."""
        first_sent = min((at for _, at in self._sent.values()), default=0.0)
        answered = bool(self._latencies)
        return {
            "comments": self.comments,
            "verdicts": self.verdicts,
            "flags": self.flags,
            "held": self.held,
            "dead_letters": self.dead_letters,
            "seconds": round(self._last_answer - first_sent, 2) if answered else None,
            "p50_ms": round(percentile(self._latencies, 50) * 1000, 1) if answered else None,
            "p99_ms": round(percentile(self._latencies, 99) * 1000, 1) if answered else None,
            "first_verdict_s": round(self._first_answer - self._started, 2) if answered else None,
            "actions": {action.value: self.actions[action] for action in Action},
            "labels": dict(self.labels.most_common()),
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of some values; 0 of none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
