"""How fast verdicts come, seen from outside: by a consumer that reads what is committed."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException

from benchmarks.peers.stream.place import Place

SETTLE_S: Final = 0.1  # within which the verdicts of one transaction are read to the end
PATIENCE_S: Final = 240.0  # for the first verdicts: torch takes long to load


class NoVerdictsError(Exception):
    """The verdicts did not come."""


@dataclass(frozen=True, slots=True)
class Meter:
    """Measures verdicts a second, from the first `warm` of them to the last of `count`.

    Attributes:
        warm: so many are waited for before the clock starts.
        count: so many come in all.
        limit_s: after so long the clock stops, with those that have come.
    """

    warm: int
    count: int
    limit_s: float

    def rate(self, place: Place, alive: Callable[[], bool]) -> float:
        """Return verdicts a second on a place's topic.

        Args:
            place: where.
            alive: whether their maker still is.

        Raises:
            NoVerdictsError: their maker died, or fell silent.
        """
        with closing(Consumer(_config(place))) as consumer:
            consumer.subscribe([place.verdicts])
            stream = _Stream(consumer, alive)
            stream.read_until(lambda: stream.seen >= self.warm, PATIENCE_S)
            settled = monotonic() + SETTLE_S
            stream.read_until(lambda: monotonic() > settled, PATIENCE_S)
            seen, at = stream.seen, stream.last
            end = monotonic() + self.limit_s
            stream.read_until(lambda: stream.seen >= self.count or monotonic() > end, PATIENCE_S)
        if stream.seen == seen:
            raise NoVerdictsError(f"{seen} verdicts came, and then no other")
        return (stream.seen - seen) / (stream.last - at)


def _config(place: Place) -> dict[str, Any]:
    return {
        "bootstrap.servers": place.servers,
        "group.id": f"{place.name}.meter",
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "fetch.wait.max.ms": 20,
    }


class _Stream:
    """What a consumer has seen: how many, and when the last came."""

    def __init__(self, consumer: Consumer, alive: Callable[[], bool]) -> None:
        self._consumer, self._alive = consumer, alive
        self.seen, self.last = 0, monotonic()

    def read_until(self, done: Callable[[], bool], patience_s: float) -> None:
        end = monotonic() + patience_s
        while not done():
            if not self._alive():
                raise NoVerdictsError(f"the process ended after {self.seen} verdicts")
            if monotonic() > end:
                raise NoVerdictsError(f"{self.seen} verdicts came in {patience_s:g} s")
            for message in self._consumer.consume(1_000, 0.01):
                if message.error():
                    raise KafkaException(message.error())
                self.seen, self.last = self.seen + 1, monotonic()
