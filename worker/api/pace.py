"""How long the device takes for a text: measured all the time, guessed before it is tokenised."""

from typing import Final

KEPT: Final = 0.8  # of what was measured before, when the next batch says otherwise
A_COMMENT: Final = 40  # bytes that a comment costs beside its own: tokens of its frame, padding
BYTES_A_TOKEN: Final = 5  # rather too many: English has 4.5


class Pace:
    """Seconds a byte.

    Args:
        tokens: of one comment that are scored at most; what a longer one has more costs nothing.
        seconds: that a byte takes, as a first guess.
    """

    def __init__(self, tokens: int, seconds: float) -> None:
        self._heaviest = tokens * BYTES_A_TOKEN
        self._seconds = seconds

    def weight(self, text: str) -> int:
        """Return about how much a text costs, in bytes."""
        return A_COMMENT + min(self._heaviest, len(text[: self._heaviest].encode(errors="replace")))

    def seconds(self, weight: int) -> float:
        """Return how long so much takes."""
        return weight * self._seconds

    def learn(self, weight: int, seconds: float) -> None:
        """Take a measurement in."""
        self._seconds = KEPT * self._seconds + (1 - KEPT) * seconds / weight
