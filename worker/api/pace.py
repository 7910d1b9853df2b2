"""How long the device takes for a text: measured all the time, guessed before it is tokenised."""

from typing import Final

KEPT: Final = 0.8  # of what was measured before, when the next batch says otherwise
A_COMMENT: Final = 40  # bytes that a comment costs beside its own: tokens of its frame, padding
BYTES_A_TOKEN: Final = 5  # rather too many: English has 4.5


class Pace:
    """Seconds a byte, and what a batch takes beside its bytes.

    How these two stand to each other is the engine's and the machine's; what is learned is how
    much longer both take than they did. If a batch of one short comment were taken for what bytes
    cost, a few of them would have the door closed before requests for which there is time.

    Args:
        tokens: of one comment that are scored at most; what a longer one has more costs nothing.
        a_byte_s: that a byte takes, in seconds, as a first guess.
        a_batch_s: that a batch takes beside its bytes.
    """

    def __init__(self, tokens: int, a_byte_s: float, a_batch_s: float = 0.0) -> None:
        self._heaviest = tokens * BYTES_A_TOKEN
        self._a_byte_s = a_byte_s
        self._a_batch_s = a_batch_s
        self._slower = 1.0  # times as long as at first

    def weight(self, text: str) -> int:
        """Return about how much a text costs, in bytes."""
        return A_COMMENT + min(self._heaviest, len(text[: self._heaviest].encode(errors="replace")))

    def seconds(self, weight: float) -> float:
        """Return how long so much takes in a large batch."""
        return weight * self._a_byte_s * self._slower

    def learn(self, weight: int, seconds: float) -> None:
        """Take the measurement of a batch in."""
        found = seconds / (self._a_batch_s + weight * self._a_byte_s)
        self._slower = KEPT * self._slower + (1 - KEPT) * found
