"""How far the reading is, a line now and then."""

from collections.abc import Callable
from time import monotonic
from typing import Final

EVERY_S: Final = 2.0


class Progress:
    """Says how far the reading is.

    Args:
        say: takes a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._topic, self._records, self._started = "", 0, monotonic()
        self._said_at = monotonic()

    def begin(self, topic: str, offsets: int) -> None:
        """Begin with a topic of so many offsets, gaps among them."""
        self._topic, self._records, self._started = topic, 0, monotonic()
        self._say(f"reading {topic}: {offsets:,} offsets")

    def read(self, records: int) -> None:
        """Count records that were read."""
        self._records += records
        if monotonic() - self._said_at > EVERY_S:
            self._said_at = monotonic()
            rate = self._records / max(1e-3, self._said_at - self._started)
            self._say(f"reading {self._topic}: {self._records:,} records, {rate:,.0f}/s")

    def compare(self) -> None:
        """Say that all is read."""
        self._say("comparing")
