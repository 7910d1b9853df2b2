"""What becomes of messages that the broker refuses for what they are.

Publishing them again would be refused again, for ever; `on_delivery` names them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from schemas.dead_letter import Reason
from schemas.errors import ClusterError
from worker.judge import Judge
from worker.window import Comment, Outcome, Refusal

MOST_REFUSALS: Final = 3  # of one window by the broker, before the worker stops


def without_culprits(
    outcomes: Sequence[Outcome], culprits: dict[int, str], judge: Judge
) -> Sequence[Outcome]:
    """Turn the outcomes that the broker refuses into dead letters without their payload.

    Args:
        outcomes: of a window.
        culprits: places in the window's list of messages, with the broker's error.
        judge: makes the new outcomes.

    Raises:
        ClusterError: what was refused has no payload left that could be at fault.
    """
    if not culprits:
        return outcomes
    replaced, place = [], 0
    for outcome in outcomes:
        places = range(place, place + len(outcome.messages))
        place = places.stop
        code = next((culprits[p] for p in places if p in culprits), None)
        replaced.append(outcome if code is None else _refused(outcome, code, judge))
    return replaced


def _refused(outcome: Outcome, code: str, judge: Judge) -> Outcome:
    entry, value = outcome.entry, outcome.record.value or b""
    detail = f"{code}; value of {len(value):,} bytes, sha256 {hashlib.sha256(value).hexdigest()}"
    if isinstance(entry, Comment):
        event = entry.event
        refusal = Refusal(
            Reason.REFUSED_BY_BROKER,
            detail,
            event.id,
            event.community,
            event.revision,
            with_payload=False,
        )
    elif isinstance(entry, Refusal) and entry.with_payload:
        refusal = replace(entry, detail=f"{entry.detail}; {detail}", with_payload=False)
    else:
        raise refused_for_good({0: code})
    return judge.outcome(outcome.record, refusal)


def refused_for_good(culprits: dict[int, str]) -> ClusterError:
    """Make the error that ends the worker: all of these, again, would be refused again."""
    return ClusterError(
        f"the broker refuses what we publish: {', '.join(sorted(set(culprits.values())))}",
        "check max.message.bytes and message.timestamp settings of the output topics "
        "(`tidegate topics check`)",
    )
