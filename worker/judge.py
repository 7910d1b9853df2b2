"""Probabilities and policy to what is sent out: verdicts, flags, dead letters, tombstones.

The payloads are built as plain mappings, since a model object per verdict would cost ten
times as much; the tests hold their bytes against the schema.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import compress
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from orjson import Fragment

from schemas.bundle import BundleManifest
from schemas.dead_letter import DeadLetterHeaders, Reason
from schemas.verdict import BORDERLINE, Action, Status, verdict_id
from schemas.wire import encode
from worker.cloud_event import cloud_event
from worker.policies import Policies
from worker.settings import TopicSettings
from worker.trace import trace_of
from worker.window import (
    Comment,
    Erasure,
    Judged,
    Outcome,
    Outgoing,
    Record,
    Refusal,
    Scored,
)

DECIMALS: Final = 6  # of a probability

# Plain strings for the payloads: the encoder looks an enum's value up, comment by comment.
SCORED, HELD = Status.SCORED.value, Status.HELD.value
ALLOW, REVIEW, REMOVE = Action.ALLOW.value, Action.REVIEW.value, Action.REMOVE.value


class Ruling(NamedTuple):
    """What the policy says of one comment's scores."""

    scores: Sequence[float]
    labels: Sequence[str]  # those over their threshold
    borderline: Sequence[str]  # those near it, or near the one to remove
    remove: bool  # whether any is over that
    missing: bool  # the device could not score it


class Judge:
    """The room between device and publisher.

    Args:
        manifest: of the bundle.
        policies: thresholds by community.
        topics: where messages go.
        over_api: comments stand on no topic: positions only tell them apart, and whoever sent one
            that cannot be judged is told so, not the dead letters.
    """

    def __init__(
        self,
        manifest: BundleManifest,
        policies: Policies,
        topics: TopicSettings,
        *,
        over_api: bool = False,
    ) -> None:
        self._labels = manifest.labels
        self._version = manifest.version
        self._model = Fragment(encode({"name": manifest.name, "version": manifest.version}))
        self._policies = policies
        self._topics = topics
        self._over_api = over_api

    def __call__(self, scored: Scored) -> Judged:
        """Judge a window: an outcome for each of its records, in order."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        rulings = iter(self._rulings(scored))
        prepared = scored.prepared
        outcomes = []
        for record, entry in zip(prepared.fetched.records, prepared.entries, strict=True):
            if isinstance(entry, Comment):
                outcomes.append(self._scored(record, entry, next(rulings), now))
            else:
                outcomes.append(self.outcome(record, entry, now))
        return Judged(scored, outcomes)

    def _rulings(self, scored: Scored) -> list[Ruling]:
        """Hold a window's scores against the policy, all comments at once.

        Labels are set by the rounded scores, so that a verdict agrees with itself.
        """
        scores = np.round(scored.scores, DECIMALS)
        communities = [
            entry.event.community for entry in scored.prepared.entries if isinstance(entry, Comment)
        ]
        if not communities:
            return []
        review_at, remove_at = self._thresholds(communities)
        distance = np.minimum(np.abs(scores - review_at), np.abs(scores - remove_at))
        near = np.round(distance, DECIMALS) <= BORDERLINE
        columns: tuple[list[Any], ...] = (
            scores.tolist(),
            self._named(scores >= review_at),
            self._named(near),
            np.any(scores >= remove_at, axis=1).tolist(),
            np.any(np.isnan(scores), axis=1).tolist(),
        )
        return [Ruling(*row) for row in zip(*columns, strict=True)]

    def _thresholds(
        self, communities: Sequence[str | None]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return those to review and those to remove, [comments, labels] each."""
        places = {community: place for place, community in enumerate(dict.fromkeys(communities))}
        review, remove = zip(*map(self._policies.thresholds, places), strict=True)
        rows = [places[community] for community in communities]
        return np.stack(review)[rows], np.stack(remove)[rows]

    def _named(self, flags: NDArray[np.bool_]) -> list[Sequence[str]]:
        """Name the labels that are flagged in each row; in most none is."""
        named: list[Sequence[str]] = [()] * len(flags)
        for row in np.flatnonzero(flags.any(1)).tolist():
            named[row] = list(compress(self._labels, flags[row].tolist()))
        return named

    def outcome(self, record: Record, entry: Refusal | Erasure, now: str | None = None) -> Outcome:
        """Say what becomes of a record that has no scores."""
        if isinstance(entry, Erasure):
            return Outcome(record, entry, None, (), self._tombstones(record, entry))
        now = now or datetime.now(UTC).isoformat(timespec="milliseconds")
        return self._refused(record, entry, now)

    def _scored(self, record: Record, entry: Comment, ruling: Ruling, now: str) -> Outcome:
        event = entry.event
        if ruling.missing:
            detail = "it does not fit the device's memory, even alone"
            refusal = Refusal(
                Reason.NOT_SCORABLE, detail, event.id, event.community, event.revision
            )
            return self._refused(record, refusal, now)
        action = ALLOW
        if ruling.labels:
            action = REMOVE if ruling.remove else REVIEW
        verdict: dict[str, Any] = {
            "verdict_id": self._id(record),
            "comment_id": event.id,
            "revision": event.revision,
            "community": event.community,
            "status": SCORED,
            "scores": dict(zip(self._labels, ruling.scores, strict=True)),
            "labels": ruling.labels,
            "borderline": ruling.borderline,
            "action": action,
            "truncated": entry.truncated,
        }
        messages = self._messages(record, verdict, now)
        return Outcome(record, entry, action, ruling.labels, messages, ruling.borderline)

    def _refused(self, record: Record, entry: Refusal, now: str) -> Outcome:
        """A comment that nobody judged is held for a person: tidegate fails closed."""
        letters = () if self._over_api else (self._dead_letter(record, entry),)
        if entry.comment_id is None:
            return Outcome(record, entry, None, (), letters)
        verdict: dict[str, Any] = {
            "verdict_id": self._id(record),
            "comment_id": entry.comment_id,
            "revision": entry.revision,
            "community": entry.community,
            "status": HELD,
            "reason": entry.reason.value,
            "scores": {},
            "labels": [],
            "borderline": [],
            "action": REVIEW,
            "truncated": False,
        }
        messages = self._messages(record, verdict, now)
        return Outcome(record, entry, REVIEW, (), (*letters, *messages))

    def _id(self, record: Record) -> str:
        topic, number = record.partition
        return verdict_id(topic, number, record.offset, self._version)

    def _messages(self, record: Record, verdict: dict[str, Any], now: str) -> Sequence[Outgoing]:
        """Finish a verdict; return it, and the flag where the action is not allow."""
        verdict["model"] = self._model
        verdict["policy"] = self._policies.version
        verdict["scored_at"] = now
        verdict["source"] = None if self._over_api else _source(record)
        identity, key, value = (
            verdict["verdict_id"],
            verdict["comment_id"].encode(),
            encode(verdict),
        )
        passed_on = trace_of(record.headers) if record.headers else ()
        headers = (*cloud_event("verdict", identity, now), *passed_on)
        message = Outgoing(self._topics.verdicts, key, value, headers)
        if verdict["action"] == ALLOW:
            return (message,)
        headers = (*cloud_event("flag", identity, now), *passed_on)
        return message, Outgoing(self._topics.flags, key, value, headers)

    def _tombstones(self, record: Record, erasure: Erasure) -> Sequence[Outgoing]:
        """Pass an erasure on, so that compaction forgets what was said of the comment."""
        headers = trace_of(record.headers)
        return [
            Outgoing(topic, erasure.key, None, headers)
            for topic in (self._topics.verdicts, self._topics.flags, self._topics.feedback)
        ]

    def _dead_letter(self, record: Record, refusal: Refusal) -> Outgoing:
        ours = DeadLetterHeaders(
            reason=refusal.reason,
            detail=refusal.detail,
            source_topic=record.partition.topic,
            source_partition=record.partition.number,
            source_offset=record.offset,
            source_timestamp=record.timestamp,
        )
        if not refusal.with_payload:
            return Outgoing(self._topics.dead_letters, record.key, None, ours.encode())
        headers = [*record.headers, *ours.encode()]
        return Outgoing(self._topics.dead_letters, record.key, record.value, headers)


def _source(record: Record) -> dict[str, Any]:
    topic, number = record.partition
    return {
        "topic": topic,
        "partition": number,
        "offset": record.offset,
        "timestamp": record.timestamp,
    }
