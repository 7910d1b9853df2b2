"""What tidegate wants to be, as ratios to its peers and as figures of its own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from benchmarks.peers.contestants import AFTERNOON, OUR_API, OURS
from benchmarks.peers.scoring import Score
from benchmarks.peers.spread import Spread

LONE, LONE_MS = "p50 of a lone comment of 40 tokens, ms", 5
READY, READY_S = "start to ready, s", 2
PEAK, PEAK_MB = "peak memory, MB", 400

LIMIT, LIMIT_WITH_VNNI = "the processor's peak", 0.7


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio that is wanted: ours over the best of some contestants.

    Attributes:
        against: as the table names them.
        rivals: which contestants those are, by name and family.
        with_vnni: the ratio on a processor with VNNI; None: there is no goal.
        without: on another one.
    """

    against: str
    rivals: Callable[[str, str], bool]
    with_vnni: float | None
    without: float | None


GOALS: Final = (
    Goal("the afternoon loop", lambda name, _: name == AFTERNOON, None, 4),
    Goal(
        "transformers.pipeline at its best batch",
        lambda _, family: family == "transformers.pipeline",
        7,
        None,
    ),
    Goal("Detoxify", lambda _, family: family == "Detoxify", 14, None),
    Goal("infinity-emb at its best", lambda _, family: family == "infinity-emb", 1.9, None),
    Goal("the fastest bare engine", lambda _, family: family == "bare engines", 0.95, None),
)


def kind(*, vnni: bool, base: bool) -> str | None:
    """Return which goals hold: by the processor, and none for the base shape."""
    if base:
        return None
    return "with_vnni" if vnni else "without"


def ratios(scores: Sequence[Score], kind: str | None) -> list[dict[str, Any]]:
    """Return ours over each of the goals' rivals, round by round: median, least and most.

    Args:
        scores: of all contestants.
        kind: which of the goals hold, as `kind` says.
    """
    measured = _measured(scores)
    ours = measured.get(OURS)
    found = []
    for goal in GOALS:
        rivals = [
            score
            for score in measured.values()
            if goal.rivals(score.contestant.name, score.contestant.family)
        ]
        if ours is None or not rivals:
            continue
        best = max(rivals, key=lambda score: median(score.rates))
        found.append(
            ratio(goal.against, best.contestant.name, ours.rates, best.rates)
            | {"goal": getattr(goal, kind) if kind else None}
        )
    return found


def of_the_limit(
    scores: Sequence[Score], limits: Sequence[float], kind: str | None
) -> list[dict[str, Any]]:
    """Return our tokens over what the processor's peak allows, if both were measured.

    Args:
        scores: of all contestants.
        limits: real tokens a second, a round each.
        kind: which of the goals hold, as `kind` says.
    """
    ours = _measured(scores).get(OURS)
    if ours is None or not limits:
        return []
    rival = f"the whole graph, {round(median(limits)):,} tokens/s"
    goal = LIMIT_WITH_VNNI if kind == "with_vnni" else None
    return [ratio(LIMIT, rival, ours.tokens, limits) | {"goal": goal}]


def _measured(scores: Sequence[Score]) -> dict[str, Score]:
    return {score.contestant.name: score for score in scores if score.not_measured is None}


def ratio(
    against: str, rival: str, ours: Sequence[float], theirs: Sequence[float]
) -> dict[str, Any]:
    """Return a ratio, round by round."""
    of_rounds = [mine / yours for mine, yours in zip(ours, theirs, strict=True)]
    return {"against": against, "rival": rival, "ratio": Spread.of(of_rounds).rounded(2)}


def own_goals(engines: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return those of our figures that have a goal: what they should be at most.

    A lone comment is the API's business, memory and start are a worker's.
    """
    measured = {one["name"]: one for one in engines if "lone_ms" in one}
    found = []
    if (api := measured.get(OUR_API)) is not None:
        found.append({"figure": LONE, "found": api["lone_ms"]["median"], "at_most": LONE_MS})
    if (ours := measured.get(OURS)) is not None:
        found += [
            {"figure": READY, "found": ours["ready_s"]["median"], "at_most": READY_S},
            {"figure": PEAK, "found": ours["peak_mb"], "at_most": PEAK_MB},
        ]
    return found
