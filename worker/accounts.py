"""What is done with a window once it is committed: counted, logged, weighed."""

from collections import Counter
from collections.abc import Sequence
from time import monotonic

import structlog

from worker.breaker import Breaker
from worker.metrics import Metrics
from worker.window import Comment, Erasure, Judged, Outcome, Refusal

log = structlog.get_logger()


class Accounts:
    """The accounts of a worker; kept by the thread that publishes."""

    def __init__(self, metrics: Metrics, breaker: Breaker) -> None:
        self._metrics = metrics
        self._breaker = breaker

    def __call__(self, window: Judged, seconds: float) -> None:
        """Count a window that took `seconds` to publish.

        Raises:
            BreakerError: too much could not be judged.
        """
        if not window.outcomes:
            log.info("window dropped", why="none of its partitions is ours any more")
            return
        self._metrics.published(window, seconds)
        prepared = window.scored.prepared
        entries = [outcome.entry for outcome in window.outcomes]
        log.info(
            "window",
            records=len(entries),
            comments=sum(isinstance(e, Comment) for e in entries),
            actions=Counter(o.action for o in window.outcomes if o.action),
            dead_letters=Counter(str(e.reason) for e in entries if isinstance(e, Refusal)),
            erasures=sum(isinstance(e, Erasure) for e in entries),
            tokens=sum(map(len, prepared.pieces)),
            positions=_positions(window.outcomes),
            prepare_ms=round(prepared.seconds * 1000),
            score_ms=round(window.scored.seconds * 1000),
            publish_ms=round(seconds * 1000),
            age_ms=round((monotonic() - prepared.fetched.fetched_at) * 1000),
        )
        self._breaker.weigh(entries)


def _positions(outcomes: Sequence[Outcome]) -> dict[str, list[int]]:
    """Return the first and the last offset of each partition, for the log."""
    numbers = [outcome.record.partition.number for outcome in outcomes]
    offsets = [outcome.record.offset for outcome in outcomes]
    first = dict(zip(reversed(numbers), reversed(offsets), strict=True))
    last = dict(zip(numbers, offsets, strict=True))
    return {str(number): [first[number], last[number]] for number in last}
