"""What was proven and what was not, for people and for programs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from deploy.reconcile.findings import Answer, Finding, Findings, Promise

# An error ends a command with 1 or 2, too: but then it says so, and reports nothing.
EXIT: Final = {Answer.PROVEN: 0, Answer.REFUTED: 1, Answer.UNPROVEN: 3}


@dataclass(frozen=True)
class Report:
    """The verdict on the verdicts."""

    findings: Findings
    counts: Mapping[str, int] = field(default_factory=dict)
    ranges: Sequence[tuple[int, int]] = ()  # of each partition of comments: from, to
    topic: str = ""
    looks: int = 0
    watched_s: float = 0.0
    seconds: float = 0.0

    @property
    def answer(self) -> Answer:
        """What can be said of all promises together."""
        return self.findings.answer()

    def as_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            "answer": self.answer,
            "promises": [
                {
                    "promise": promise,
                    "answer": self.findings.answer(promise),
                    "findings": [_as_json(finding) for finding in self.findings.of(promise)],
                }
                for promise in Promise
            ],
            "counts": dict(self.counts),
            "looked_at": [
                {"topic": self.topic, "partition": number, "from": start, "to": end}
                for number, (start, end) in enumerate(self.ranges)
            ],
            "committed_offsets": {"looks": self.looks, "seconds": round(self.watched_s, 1)},
            "seconds": round(self.seconds, 1),
        }

    def lines(self) -> Iterator[str]:
        """Yield all of it as lines of text."""
        for number, (start, end) in enumerate(self.ranges):
            yield f"{self.topic}/{number}: offsets {start:,} to {end:,}"
        yield ", ".join(f"{count:,} {name}" for name, count in self.counts.items() if count)
        yield ""
        for promise in Promise:
            yield f"{self.findings.answer(promise):<8}  {promise}{self._as_far_as(promise)}"
            for finding in self.findings.of(promise):
                yield f"          {_line(finding)}"
        yield ""
        yield f"{self.answer} in {self.seconds:.1f} s"

    def _as_far_as(self, promise: Promise) -> str:
        if promise is not Promise.OFFSETS or not self.looks:
            return ""
        return f", in {self.looks} looks over {self.watched_s:.1f} s"


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        "answer": finding.answer,
        "what": finding.what,
        "count": finding.count,
        "first": [str(position) for position in finding.first],
    }


def _line(finding: Finding) -> str:
    if not finding.first:
        return finding.what
    shown = ", ".join(map(str, finding.first))
    more = ", …" if finding.count > len(finding.first) else ""
    return f"{finding.count:,} {finding.what}: {shown}{more}"
