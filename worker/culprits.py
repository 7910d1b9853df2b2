"""What becomes of messages that the broker refuses for what they are.

Publishing them again would be refused again, for ever; `on_delivery` names them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from schemas.dead_letter import Reason, digest_of
from schemas.errors import ClusterError
from worker.judge import Judge
from worker.window import Comment, Outcome, Partition, Refusal

# So many messages are sent one by one to find the one that is too large; if more share a batch
# that is refused, it is the topic's limit that is wrong.
MOST_SUSPECTS: Final = 200

Positions = frozenset[tuple[Partition, int]]


def positions_of(outcomes: Sequence[Outcome], places: Collection[int]) -> Positions:
    """Return the positions of the records whose messages stand at these places.

    Raises:
        ClusterError: there are too many to look at one by one.
    """
    if len(places) > MOST_SUSPECTS:
        raise refused_for_good({0: "MSG_SIZE_TOO_LARGE"})
    owners = [o.record for o in outcomes for _ in o.messages]
    return frozenset((owners[place].partition, owners[place].offset) for place in places)


def places_of(outcomes: Sequence[Outcome], positions: Positions) -> list[int]:
    """Return the places of the messages that records at these positions send out."""
    owners = [o.record for o in outcomes for _ in o.messages]
    return [n for n, r in enumerate(owners) if (r.partition, r.offset) in positions]


def without_culprits(
    outcomes: Sequence[Outcome], culprits: Mapping[int, str], judge: Judge
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
    entry, value = outcome.entry, outcome.record.value
    detail = code if value is None else f"{code}; {digest_of(value)}"
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


def refused_for_good(culprits: Mapping[int, str]) -> ClusterError:
    """Make the error that ends the worker: all of these, again, would be refused again."""
    return ClusterError(
        f"the broker refuses what we publish: {', '.join(sorted(set(culprits.values())))}",
        "check max.message.bytes and message.timestamp settings of the output topics "
        "(`tidegate topics check`)",
    )
