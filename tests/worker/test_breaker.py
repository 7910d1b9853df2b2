"""The breaker: a bad deploy stops the worker, a hostile account never does."""

import pytest
from hypothesis import given
from hypothesis.strategies import lists, sampled_from

from schemas.dead_letter import MADE_BY_A_DEPLOY, Reason
from worker.breaker import Breaker, BreakerError
from worker.settings import BreakerSettings
from worker.window import Entry, Erasure, Refusal

FINE = Erasure(b"k")
BY_A_DEPLOY = Refusal(Reason.SCHEMA, "text: Field required", None)
BY_AN_ACCOUNT = Refusal(Reason.VALUE_TOO_LARGE, "70,000 bytes", None)
HOSTILE = sorted(set(Reason) - MADE_BY_A_DEPLOY)


def breaker(share: float = 0.5, records: int = 100) -> Breaker:
    """Return a breaker."""
    return Breaker(BreakerSettings(share=share, records=records))


def test_a_share_over_enough_records_stops_the_worker() -> None:
    """Both numbers, both shares, and where to look."""
    found = breaker()
    found.weigh([FINE] * 50)

    with pytest.raises(BreakerError, match=r"50 of the last 100 records .*50%, the limit is 50%"):
        found.weigh([BY_A_DEPLOY] * 50)


def test_a_share_over_too_few_records_stops_nobody() -> None:
    """One broken comment at the start of a quiet day is all of them, and yet no deploy."""
    breaker().weigh([BY_A_DEPLOY] * 99)


@given(windows=lists(lists(sampled_from(HOSTILE), max_size=60), max_size=30))
def test_what_an_account_can_cause_never_counts(windows: list[list[Reason]]) -> None:
    """However much of it, in whatever windows."""
    found = breaker(share=0.01, records=10)

    for reasons in windows:
        found.weigh([Refusal(reason, "", None) for reason in reasons])


@given(windows=lists(lists(sampled_from([FINE, BY_A_DEPLOY, BY_AN_ACCOUNT])), max_size=40))
def test_the_share_is_that_of_the_last_windows(windows: list[list[Entry]]) -> None:
    """It stops exactly when the newest windows that hold enough records reach the share."""
    found = breaker(share=0.4, records=20)
    for number, window in enumerate(windows):
        last: list[Entry] = []
        for earlier in reversed(windows[: number + 1]):
            if len(last) >= 20:
                break
            last = earlier + last
        too_many = len(last) >= 20 and last.count(BY_A_DEPLOY) >= 0.4 * len(last)
        if too_many:
            with pytest.raises(BreakerError):
                found.weigh(window)
            return
        found.weigh(window)


def test_an_old_fault_is_forgotten_when_enough_is_well() -> None:
    """A publisher that was mended does not stop the worker hours later."""
    found = breaker()
    found.weigh([BY_A_DEPLOY] * 49)
    found.weigh([FINE] * 100)

    found.weigh([BY_A_DEPLOY] * 49)
