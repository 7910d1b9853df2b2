"""Stops the worker when so much cannot be judged that going on is worse.

Only causes count that a deploy makes: ours, or a publisher's. What an account can cause at
will never counts, or one hostile account could stop moderation.
"""

from collections import deque
from collections.abc import Sequence

from schemas.dead_letter import MADE_BY_A_DEPLOY
from schemas.errors import TidegateError
from worker.settings import BreakerSettings
from worker.window import Entry, Refusal


class BreakerError(TidegateError):
    """Too large a share of the last records could not be judged."""


class Breaker:
    """Weighs the last windows; a window counts as a whole."""

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._windows: deque[tuple[int, int]] = deque()  # records, and those that count
        self._records = 0
        self._counted = 0

    def weigh(self, entries: Sequence[Entry]) -> None:
        """Add a window that was committed.

        Raises:
            BreakerError: the share is reached over at least `records` records.
        """
        counted = sum(isinstance(e, Refusal) and e.reason in MADE_BY_A_DEPLOY for e in entries)
        self._windows.append((len(entries), counted))
        self._records += len(entries)
        self._counted += counted
        while self._records - self._windows[0][0] >= self._settings.records:
            records, gone = self._windows.popleft()
            self._records -= records
            self._counted -= gone
        share = self._counted / max(1, self._records)
        if self._records >= self._settings.records and share >= self._settings.share:
            raise BreakerError(
                f"{self._counted:,} of the last {self._records:,} records could not be judged "
                f"({share:.0%}, the limit is {self._settings.share:.0%})",
                "look at the topic of dead letters: their headers say why; mend the publisher, "
                "then start again",
            )
