"""The players turn by turn on one broker, and the bare scorer beside them."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.peers import process
from benchmarks.peers.comments import Comments
from benchmarks.peers.contestants import OURS, contestants
from benchmarks.peers.goals import ratio
from benchmarks.peers.job import Job
from benchmarks.peers.overlay import NotInstalledError
from benchmarks.peers.process import NotMeasuredError
from benchmarks.peers.spread import Spread
from benchmarks.peers.stream.meter import Meter
from benchmarks.peers.stream.place import Place
from benchmarks.peers.stream.players import AFTERNOON, BARE, EXACTLY_ONCE, FASTSTREAM, QUIX, Player
from benchmarks.peers.stream.turn import take_turn
from deploy.broker import LocalBroker

WARM: Final = 500  # comments before the clock starts: a window of tidegate's
LIMIT_S: Final = 30.0  # after which a slow player's clock stops

GOALS: Final = {BARE: 0.95, AFTERNOON: 8, QUIX: 1.5, FASTSTREAM: 1.5}

Turn = Callable[[int], tuple[float, float]]  # number of the round -> comments a second, peak MB


@dataclass
class Measured:
    """What a player did in its rounds."""

    name: str
    rates: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    not_measured: str | None = None


def measure(
    players: Iterable[Player], broker: LocalBroker, folder: Path, rounds: int, count: int
) -> tuple[dict[str, Any], Sequence[Measured]]:
    """Let players judge the same comments, in turn; the bare scorer always takes part.

    Args:
        players: who takes part.
        broker: where.
        folder: the model's bundle, the same for all.
        rounds: how many.
        count: comments in a round, those before the clock starts left out.
    """
    comments = Comments.for_model(folder, WARM + count)
    turns: dict[str, Turn] = {BARE: lambda _: _bare(folder, comments.texts)}
    for number, player in enumerate(players):
        turns[player.name] = _turn_of(player, broker, f"peers-{number}", folder, comments.texts)
    measured = {name: Measured(name) for name in turns}
    for number in range(rounds):
        for name, turn in turns.items():
            if measured[name].not_measured is None:
                print(
                    f"round {number + 1} of {rounds}: {name} …",
                    end=" ",
                    file=sys.stderr,
                    flush=True,
                )
                _take(turn, number, measured[name])
    what = {
        "comments": comments.source,
        "comments_a_round": count,
        "rounds": rounds,
        "model": folder.name,
        "tokens_a_comment": round(sum(comments.tokens[WARM:]) / count, 1),
    }
    return what, list(measured.values())


def _turn_of(
    player: Player, broker: LocalBroker, name: str, folder: Path, texts: Sequence[str]
) -> Turn:
    meter = Meter(warm=WARM, count=len(texts), limit_s=LIMIT_S)

    def turn(number: int) -> tuple[float, float]:
        place = Place(broker.bootstrap_servers, f"{name}-{number}", folder)
        return take_turn(player, broker, place, texts, meter)

    return turn


def _bare(folder: Path, texts: Sequence[str]) -> tuple[float, float]:
    """Score texts in a list, with tidegate's own scorer in a process of its own."""
    ours = next(one for one in contestants() if one.name == OURS)
    rest = texts[WARM:]
    job = Job(warm=texts[:WARM], texts=rest, alone=0, lone="", repeats=0)
    answer = process.take_turn(ours, folder, job)
    return len(rest) / answer["seconds"], answer["peak_mb"]


def _take(turn: Turn, number: int, measured: Measured) -> None:
    try:
        per_s, peak = turn(number)
    except (NotInstalledError, NotMeasuredError) as error:
        measured.not_measured = str(error)
        print(f"not measured: {error}", file=sys.stderr)
        return
    measured.rates.append(per_s)
    measured.peaks.append(peak)
    print(f"{per_s:.1f} comments/s", file=sys.stderr)


def figures(measured: Iterable[Measured]) -> list[dict[str, Any]]:
    """Return what stands in the table, by player."""
    return [
        {"name": one.name, "not_measured": one.not_measured}
        if one.not_measured is not None
        else {
            "name": one.name,
            "comments_per_s": Spread.of(one.rates).rounded(),
            "peak_mb": round(max(one.peaks)),
        }
        for one in measured
    ]


def ratios(measured: Iterable[Measured]) -> list[Mapping[str, Any]]:
    """Return ours, exactly once, over each of the others that has a goal."""
    rates = {one.name: one.rates for one in measured if one.not_measured is None}
    if EXACTLY_ONCE not in rates:
        return []
    return [
        ratio(name, name, rates[EXACTLY_ONCE], rates[name]) | {"goal": goal}
        for name, goal in GOALS.items()
        if name in rates
    ]
