"""The twelve seeded bugs of the fault matrix: what the checker must see, or it proves nothing.

`BUG=order_swapped python -m rig.stub_worker` plants one in the worker's own classes. Nothing of
the worker can reach these branches; most bite by themselves, some need a fault at their side.
"""

# ruff: noqa: SLF001 - they are planted where they would stand, inside

import os
import signal
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any, Final

import numpy as np

import worker.publish
from worker.at_least_once import AtLeastOnce
from worker.begun import Begun
from worker.claims import Claims
from worker.intake import Intake
from worker.judge import Judge
from worker.offsets import next_offsets
from worker.publish import ExactlyOnce
from worker.scoring.scorer import Scorer
from worker.transactions import AbortedError, Transactions
from worker.window import Claim, Outgoing, Partition, Probabilities

AT: Final = 3  # the window, or the batch, at which those bite that bite once


def plant(name: str) -> None:
    """Put a bug into the worker's classes, before any of them is made."""
    (BUGS | {never_rebuilt.__name__: never_rebuilt})[name]()


def offset_not_plus_one() -> None:
    """The last comment's own offset is committed, so that it is judged again."""

    def last_offsets(records: Any) -> Any:
        offsets = next_offsets(records)
        for place in offsets:
            place.offset -= 1
        return offsets

    _replace(worker.publish, "next_offsets", last_offsets)


def gate_off() -> None:
    """What another worker owns by now is published all the same."""

    def live(_: Claims, claim: Claim) -> frozenset[Partition]:
        return frozenset(claim.counts)

    _replace(Claims, "_live", live)


def offsets_sent_first() -> None:
    """Offsets are committed before their verdicts: a kill in between loses these."""
    send = Transactions.send

    def offsets_first(
        self: Transactions, messages: Any, offsets: Any, metadata: Any, *_: Any
    ) -> None:
        send(self, [], offsets, metadata)
        self.commit()
        send(self, messages, [], metadata)

    _replace(Transactions, "send", offsets_first)


def metadata_of_another_count() -> None:
    """Owning a partition again counts as owning it still."""

    def live(self: Claims, claim: Claim) -> frozenset[Partition]:
        return frozenset(claim.counts) & frozenset(self._assigned)

    _replace(Claims, "_live", live)


def order_swapped() -> None:
    """A window's messages leave in another order than its comments came in."""
    _change_messages(lambda messages: messages[::-1])


def results_shifted_by_one() -> None:
    """Each comment is given its neighbour's probabilities."""
    begin = Scorer._begin

    def shifted(self: Scorer, pieces: Sequence[Sequence[int]]) -> Begun[Probabilities]:
        return begin(self, pieces).then(lambda found: np.roll(found, 1, axis=0))

    _replace(Scorer, "_begin", shifted)


def abort_without_retry() -> None:
    """A window that was aborted is forgotten; the next one's offsets pass over it."""
    once, commit = ExactlyOnce._once, Transactions.commit
    countdown = _Countdown(AT)

    def aborting(self: Transactions) -> None:
        if countdown.is_over():
            self._doubt = "a fault of this test"
            raise AbortedError("a fault of this test")
        commit(self)

    def forgetting(self: ExactlyOnce, *window: Any) -> Any:
        outcomes, _ = once(self, *window)
        return outcomes, None

    _replace(Transactions, "commit", aborting)
    _replace(ExactlyOnce, "_once", forgetting)


def dead_letter_reencoded() -> None:
    """A dead letter holds what was understood of its record, and no longer what came."""

    def reencoded(message: Outgoing) -> Outgoing:
        value = message.value
        if value is None or not message.topic.endswith("dead-letters"):
            return message
        return message._replace(value=value.decode(errors="replace").encode())

    _change_messages(lambda messages: [reencoded(message) for message in messages])


def tombstone_lost() -> None:
    """An erasure is committed, and nobody is told of it."""
    _replace(Judge, "_tombstones", lambda *_: ())


def exception_swallowed_in_consume() -> None:
    """A call's messages are lost with its exception, and the next call goes on behind them."""
    keep, countdown = Intake._keep, _Countdown(AT)

    def losing(self: Intake, messages: Any) -> None:
        if len(messages) > 1 and countdown.is_over():
            return
        keep(self, messages)

    _replace(Intake, "_keep", losing)


def commit_before_flush() -> None:
    """At least once, offsets are handed on before their verdicts are delivered, and then: kill."""
    delivered, countdown = AtLeastOnce._delivered_all, _Countdown(AT)

    def late(self: AtLeastOnce, outcomes: Any) -> Any:
        if countdown.is_over():
            self._offsets.put(next_offsets(outcome.record for outcome in outcomes))
            while self._offsets._due:
                Event().wait(0.05)
            Event().wait(1)  # until the broker has them, too
            os.kill(os.getpid(), signal.SIGKILL)
        return delivered(self, outcomes)

    _replace(AtLeastOnce, "_delivered_all", late)


def at_least_once_posing_as_exact() -> None:
    """Nothing in the worker is wrong; what is claimed of it is. A kill shows it."""


BUGS: Final = {
    bug.__name__: bug
    for bug in (
        offset_not_plus_one,
        gate_off,
        offsets_sent_first,
        metadata_of_another_count,
        order_swapped,
        results_shifted_by_one,
        abort_without_retry,
        dead_letter_reencoded,
        tombstone_lost,
        exception_swallowed_in_consume,
        commit_before_flush,
        at_least_once_posing_as_exact,
    )
}


def never_rebuilt() -> None:
    """No bug of ours but of the client's: a broken connection leaves no doubt (KAFKA-17754)."""
    _replace(Transactions, "_statistics", lambda *_: None)
    _replace(Transactions, "_connection_broke", lambda *_: None)


class _Countdown:
    """True once: the n-th time that it is asked."""

    def __init__(self, n: int) -> None:
        self._left = n

    def is_over(self) -> bool:
        self._left -= 1
        return self._left == 0


def _replace(owner: Any, name: str, by: Callable[..., Any]) -> None:
    setattr(owner, name, by)


def _change_messages(change: Callable[[list[Outgoing]], list[Outgoing]]) -> None:
    """Let something be done to a window's messages on their way out."""
    send = Transactions.send

    def changed(self: Transactions, messages: Any, *rest: Any) -> None:
        send(self, change(list(messages)), *rest)

    _replace(Transactions, "send", changed)
