"""The tally: each comment has exactly one outcome, or it says where not."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.demo.tally import Tally, percentile
from schemas.dead_letter import Reason
from schemas.verdict import Action, Flag, Model, Source, Status, Verdict, verdict_id


def verdict(comment_id: str, offset: int, action: Action = Action.ALLOW) -> Verdict:
    """Make the verdict of a comment at an offset."""
    return Verdict(
        verdict_id=verdict_id("comments", 0, offset, "v1"),
        comment_id=comment_id,
        revision=0,
        community=None,
        status=Status.SCORED,
        scores={"toxic": 0.5},
        labels=[] if action is Action.ALLOW else ["toxic"],
        action=action,
        truncated=False,
        model=Model(name="stub", version="v1"),
        policy="p1",
        scored_at=datetime.now(UTC),
        source=Source(topic="comments", partition=0, offset=offset, timestamp=0),
    )


def held(comment_id: str, offset: int) -> Verdict:
    """Make the verdict of a record that nobody could judge."""
    return verdict(comment_id, offset, Action.REVIEW).model_copy(
        update={"status": Status.HELD, "reason": Reason.SCHEMA, "scores": {}, "labels": []}
    )


def flag(of: Verdict) -> Flag:
    """Make the flag that goes with a verdict."""
    return Flag.model_validate(of.model_dump())


@pytest.fixture
def tally() -> Tally:
    """Give a tally that began at second 10 and saw comments `a` and `b` go out at second 11."""
    tally = Tally(started=10.0)
    tally.sent("a", "hello", at=11.0)
    tally.sent("b", "you fool", at=11.0)
    return tally


def test_one_verdict_each_is_no_problem(tally: Tally) -> None:
    """Allowed or flagged, each has its outcome."""
    bad = verdict("b", 1, Action.REVIEW)
    tally.verdict(verdict("a", 0), at=11.5)
    tally.verdict(bad, at=12.0)
    tally.flag(flag(bad))

    assert list(tally.problems()) == []
    assert tally.unanswered == 0


def test_a_held_comment_has_a_verdict_a_flag_and_a_dead_letter(tally: Tally) -> None:
    """What nobody can judge fails closed, and is an outcome too."""
    tally.verdict(verdict("a", 0), at=12.0)
    tally.verdict(held("b", 1), at=12.0)
    tally.flag(flag(held("b", 1)))
    tally.dead_letter("b")

    assert list(tally.problems()) == []
    assert (tally.held, tally.dead_letters, tally.flags) == (1, 1, 1)


def test_a_lost_comment_is_a_problem(tally: Tally) -> None:
    """It was sent and never answered."""
    tally.verdict(verdict("a", 0), at=12.0)

    assert list(tally.problems()) == ["1 comments have no verdict"]
    assert tally.unanswered == 1


def test_a_comment_judged_twice_is_a_problem(tally: Tally) -> None:
    """Also where the repeat has another id, as after a crash without transactions."""
    for offset, comment_id in enumerate(("a", "b", "b")):
        tally.verdict(verdict(comment_id, offset), at=12.0)

    assert list(tally.problems()) == ["1 comments have more than one verdict"]


def test_a_verdict_published_twice_is_a_problem(tally: Tally) -> None:
    """The same id on two records."""
    for offset, comment_id in ((0, "a"), (1, "b"), (1, "b")):
        tally.verdict(verdict(comment_id, offset), at=12.0)

    assert "1 verdict ids stand on several verdicts" in tally.problems()


def test_a_verdict_of_a_stranger_is_a_problem(tally: Tally) -> None:
    """A verdict joined to the wrong comment."""
    for offset, comment_id in enumerate(("a", "b", "c")):
        tally.verdict(verdict(comment_id, offset), at=12.0)

    assert list(tally.problems()) == ["1 verdicts are of comments that were never sent"]


def test_flags_and_verdicts_that_do_not_match_are_problems(tally: Tally) -> None:
    """Each flag has its verdict, and the reverse."""
    tally.verdict(verdict("a", 0, Action.REMOVE), at=12.0)
    tally.verdict(verdict("b", 1), at=12.0)
    tally.flag(flag(verdict("b", 1, Action.REVIEW)))

    assert list(tally.problems()) == ["1 verdicts lack their flag", "1 flags have no verdict"]


def test_a_dead_letter_without_its_held_verdict_is_a_problem(tally: Tally) -> None:
    """A dead letter is a comment that nobody judged; somebody must be told."""
    tally.verdict(verdict("a", 0), at=12.0)
    tally.verdict(verdict("b", 1), at=12.0)
    tally.dead_letter("b")

    assert list(tally.problems()) == ["1 dead letters have no held verdict"]


def test_the_summary_has_the_figures_of_the_run(tally: Tally) -> None:
    """Latency from send to read, time from the first send to the last read."""
    bad = verdict("b", 1, Action.REMOVE)
    tally.verdict(verdict("a", 0), at=11.25)
    tally.verdict(bad, at=13.0)
    tally.flag(flag(bad))

    assert tally.summary() == {
        "comments": 2,
        "verdicts": 2,
        "flags": 1,
        "held": 0,
        "dead_letters": 0,
        "seconds": 2.0,
        "p50_ms": 250.0,
        "p99_ms": 2000.0,
        "first_verdict_s": 1.25,
        "actions": {"allow": 1, "review": 0, "remove": 1},
        "labels": {"toxic": 1},
    }


def test_the_summary_of_a_run_without_a_verdict_has_no_times() -> None:
    """An interrupted start has nothing to measure."""
    summary = Tally(started=0.0).summary()

    assert summary["comments"] == 0
    assert summary["p99_ms"] is None


def test_the_rate_is_that_of_the_last_seconds(tally: Tally) -> None:
    """Old verdicts do not count."""
    tally.verdict(verdict("a", 0), at=100.0)
    tally.verdict(verdict("b", 1), at=109.0)

    assert tally.rate(now=110.0) == pytest.approx(1 / 5)


@given(values=st.lists(st.floats(0, 1e6), min_size=1), percent=st.floats(0, 100))
def test_a_percentile_is_one_of_the_values_and_bounds_its_share(
    values: list[float], percent: float
) -> None:
    """At least that share of the values is at or below it."""
    found = percentile(values, percent)

    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100 - 1e-9
