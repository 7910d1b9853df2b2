"""Scoring: strings to probabilities, tidegate and its peers turn by turn.

Each round gives all contestants the same comments, which none of their processes has met; every
turn is a process of its own. Rounds interleave the contestants, so that a slow minute of the
machine is everybody's.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.peers.comments import Comments
from benchmarks.peers.contestants import REFERENCE, Contestant
from benchmarks.peers.fidelity import fidelity
from benchmarks.peers.job import Answer, Job
from benchmarks.peers.limit import NoPeakError, measured_peak, tokens_per_s
from benchmarks.peers.overlay import NotInstalledError
from benchmarks.peers.process import NotMeasuredError, take_turn
from benchmarks.peers.spread import Spread

# Comments. Some engines build kernels for each shape of a batch when they first meet it, as a
# process that runs for weeks does in its first seconds; after these most have been met.
WARM: Final = 300
ALONE: Final = 40  # comments of the first round that are scored alone, too
REPEATS: Final = 20  # of the lone comment


@dataclass
class Score:
    """What a contestant did, a figure for each of its rounds."""

    contestant: Contestant
    answers: list[Answer] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)  # comments a second
    tokens: list[float] = field(default_factory=list)  # real tokens a second
    not_measured: str | None = None


class Measured(NamedTuple):
    """A run on one model.

    Attributes:
        what: was scored.
        scores: of each contestant.
        limits: real tokens a second that the peak of the processor allows, a round each; none:
            it was not measured.
    """

    what: dict[str, Any]
    scores: Sequence[Score]
    limits: Sequence[float]


def measure(contestants: Iterable[Contestant], folder: Path, rounds: int, count: int) -> Measured:
    """Measure the contestants on a model.

    Args:
        contestants: who takes part.
        folder: the model's bundle.
        rounds: how many.
        count: comments in a round.
    """
    comments = Comments.for_model(folder, WARM + rounds * count)
    scores = [Score(contestant) for contestant in contestants]
    limits: list[float] = []
    for number in range(rounds):
        part = slice(WARM + number * count, WARM + (number + 1) * count)
        job = Job(
            warm=comments.texts[:WARM],
            texts=comments.texts[part],
            alone=0 if number else ALONE,
            lone=comments.lone,
            repeats=REPEATS,
        )
        lengths = comments.tokens[part]
        limits += _limit(folder, lengths)
        for score in scores:
            if score.not_measured is None:
                _turn(score, folder, job, sum(lengths), f"round {number + 1} of {rounds}")
    what = {
        "comments": comments.source,
        "model": folder.name,
        "comments_a_round": count,
        "rounds": rounds,
        "tokens_a_comment": round(sum(comments.tokens[WARM:]) / (rounds * count), 1),
    }
    return Measured(what, scores, limits)


def _limit(folder: Path, lengths: Sequence[int]) -> list[float]:
    try:
        return [tokens_per_s(measured_peak(), folder, lengths)]
    except NoPeakError as error:
        print(f"the peak of the processor is not measured: {error}", file=sys.stderr)
        return []


def _turn(score: Score, folder: Path, job: Job, tokens: int, when: str) -> None:
    print(f"{folder.name}, {when}: {score.contestant.name} …", end=" ", file=sys.stderr, flush=True)
    try:
        answer = take_turn(score.contestant, folder, job)
    except (NotInstalledError, NotMeasuredError) as error:
        score.not_measured = str(error)
        print(f"not measured: {error}", file=sys.stderr)
        return
    score.answers.append(answer)
    score.rates.append(len(job["texts"]) / answer["seconds"])
    score.tokens.append(tokens / answer["seconds"])
    print(f"{score.rates[-1]:.1f} comments/s", file=sys.stderr)


def figures(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Return what stands in the table, by contestant."""
    reference = next((s.answers for s in scores if s.contestant.name == REFERENCE), [])
    return [_figures(score, reference) for score in scores]


def _figures(score: Score, reference: Sequence[Answer]) -> dict[str, Any]:
    name = {"name": score.contestant.name, "family": score.contestant.family}
    if score.not_measured is not None:
        return {**name, "not_measured": score.not_measured}
    answers = score.answers
    first = answers[0]
    found = {
        **name,
        "comments_per_s": Spread.of(score.rates).rounded(),
        "tokens_per_s": Spread.of(score.tokens).rounded(0),
        "lone_ms": Spread.of([median(answer["lone_ms"]) for answer in answers]).rounded(2),
        "ready_s": Spread.of([answer["ready_s"] for answer in answers]).rounded(2),
        "peak_mb": round(max(answer["peak_mb"] for answer in answers)),
        "alone_to_company": fidelity([first["alone"]], [first["scores"][: len(first["alone"])]]),
    }
    if len(reference) == len(answers):
        pairs = ([a["scores"] for a in answers], [a["scores"] for a in reference])
        found["to_reference"] = fidelity(*pairs)
    return found
