"""Every figure that a worker gives, in one list, counted when a window is committed.

Labels come from closed sets: the bundle's labels, the actions, the reasons.
"""

from collections import Counter as Tally
from functools import partial
from time import time

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from worker.latencies import Latencies
from worker.window import Comment, Erasure, Judged, Refusal

# Seconds; from a cached comment on a GPU to a full window on two cores.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LATENCY = (0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 1, 2.5, 5, 10, 30, 60, 300, 1800)
SIZES = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)


class Metrics:
    """What Prometheus reads. A rise means what the line beside it says."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry, namespace="tidegate")
        gauge = partial(Gauge, registry=self.registry, namespace="tidegate")
        histogram = partial(Histogram, registry=self.registry, namespace="tidegate")
        # Verdicts published, by action. More `remove` than usual: a raid, or a bad policy.
        self.verdicts = counter("verdicts", "Verdicts published.", ["action"])
        # Labels set. Shares drift slowly; a jump is a raid or a bad bundle.
        self.labels = counter("labels", "Labels set in verdicts.", ["label"])
        # Records nobody could judge. `schema` and `value_not_json`: a publisher's bad deploy.
        self.dead_letters = counter("dead_letters", "Records not judged.", ["reason"])
        # Comments to be forgotten, passed on as tombstones.
        self.erasures = counter("erasures", "Erasures passed on.")
        # Very long comments of which a part was not judged: a way to hide an insult.
        self.truncated = counter("truncated", "Comments judged in part.")
        # Tokens scored, padding excluded: the work done.
        self.tokens = counter("tokens", "Tokens scored.")
        # Stands still while comments wait: the worker is stuck, or the cluster is away.
        self.windows = counter("windows", "Windows published.")
        # Windows published again after an abort. A few in a rolling deploy; many: see the log.
        self.aborts = counter("aborts", "Transactions aborted.")
        # Partitions that came back with an offset from before our own commits: the broker has lost
        # offsets of the group. Other workers cannot see it, and judge comments again.
        self.offsets_lost = counter("offsets_lost", "Partitions assigned with an offset of old.")
        # What the client handed over a second time, and was dropped.
        self.handed_over_again = counter(
            "handed_over_again", "Comments fetched twice, and dropped."
        )
        # Comments in a window: the maximum all the time means that the worker is behind.
        self.window_size = histogram("window_records", "Records.", buckets=SIZES)
        # Seconds a window spent in a room: the largest is the bottleneck.
        self.room_seconds = histogram(
            "room_seconds", "Seconds in a room.", ["room"], buckets=SECONDS
        )
        # From the record's timestamp to its committed verdict: what moderators feel.
        self.latency = Latencies(
            "tidegate_latency_seconds", "Record's timestamp to commit.", LATENCY
        )
        self.registry.register(self.latency)
        # Age of the oldest comment that was fetched and not handed on: scale on this, not on
        # lag, which is never 0 on a transactional topic. 0 while nothing waits.
        self.oldest_age = gauge("oldest_unjudged_age_seconds", "Age of the oldest.")
        # Comments before the last stable offset of the log, transaction markers included.
        self.lag = gauge("consumer_lag", "Offsets behind what may be read.")
        # Of those beyond the last stable offset, which only readers of uncommitted records see. It
        # grows without end: a transaction of a publisher of comments hangs.
        self.unstable = gauge("unstable_offsets", "Offsets behind an open transaction.")
        self.partitions = gauge("partitions_assigned", "Partitions held.")
        # 0 while no broker is connected.
        self.connected = gauge("broker_connected", "Whether a broker is up.")

    def render(self) -> bytes:
        """Return the exposition text."""
        return generate_latest(self.registry)

    def published(self, window: Judged, seconds: float) -> None:
        """Count a window that was committed just now, after `seconds` in the last room."""
        self.windows.inc()
        self.window_size.observe(len(window.outcomes))
        for action, number in Tally(o.action for o in window.outcomes if o.action).items():
            self.verdicts.labels(action).inc(number)
        for label, number in Tally(x for o in window.outcomes for x in o.labels).items():
            self.labels.labels(label).inc(number)
        for outcome in window.outcomes:
            if not isinstance(outcome.entry, Comment) or outcome.entry.truncated:
                self._count_rare(outcome.entry)
        produced_ms = np.array([outcome.record.timestamp for outcome in window.outcomes])
        produced_ms = produced_ms[produced_ms > 0]  # -1: the producer gave none
        self.latency.observe(np.maximum(0.0, time() - produced_ms / 1000))
        prepared = window.scored.prepared
        self.tokens.inc(sum(map(len, prepared.pieces)))
        self.room_seconds.labels("prepare").observe(prepared.seconds)
        self.room_seconds.labels("score").observe(window.scored.seconds)
        self.room_seconds.labels("publish").observe(seconds)

    def _count_rare(self, entry: Comment | Refusal | Erasure) -> None:
        if isinstance(entry, Refusal):
            self.dead_letters.labels(entry.reason).inc()
        elif isinstance(entry, Erasure):
            self.erasures.inc()
        else:
            self.truncated.inc()
