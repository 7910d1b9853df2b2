"""Who takes part in the stream benchmark, and with which command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

EXACTLY_ONCE: Final = "tidegate, exactly once"
BARE: Final = "tidegate's scorer, without Kafka"
AFTERNOON: Final = "the afternoon loop"
QUIX: Final = "Quix Streams, tidegate's scorer"
FASTSTREAM: Final = "FastStream in batches, tidegate's scorer"

WORKER: Final = ("deploy.cli", "worker")


@dataclass(frozen=True, slots=True)
class Player:
    """A program between two topics.

    Attributes:
        name: as the table has it.
        command: a module and its arguments; those of a Place follow where it is not the worker.
        settings: of the worker.
        overlay: the lock of its packages, where they are not in the full install.
    """

    name: str
    command: Sequence[str]
    settings: Mapping[str, str] = field(default_factory=dict)
    overlay: str | None = None


def _tidegate(delivery: str) -> Player:
    name = f"tidegate, {delivery.replace('-', ' ')}"
    return Player(name, WORKER, {"TIDEGATE_PUBLISH__DELIVERY": delivery})


def _application(name: str, module: str, overlay: str | None = None) -> Player:
    return Player(name, (f"benchmarks.peers.stream.{module}",), overlay=overlay)


PLAYERS: Final = (
    _tidegate("exactly-once"),
    _tidegate("at-least-once"),
    _application(QUIX, "quix", "quix"),
    _application(FASTSTREAM, "faststream_app", "faststream"),
    _application(AFTERNOON, "afternoon_loop"),
)
