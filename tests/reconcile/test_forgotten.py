"""What a topic has forgotten by itself leaves promises unproven, and refutes none."""

import pytest

from deploy.reconcile.findings import Answer, Promise
from deploy.reconcile.memory import memory_of
from deploy.reconcile.scope import Memories, Memory
from rig.contents import Contents, Said, findings_of, honest, varied

COMPACTED = Memory(superseded=True)

CONFIG = {
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": "0",
    "max.compaction.lag.ms": "86400000",
    "delete.retention.ms": "604800000",
    "segment.ms": "604800000",
    "segment.jitter.ms": "0",
    "segment.bytes": "1073741824",
}
HOUR_MS = 3_600_000


def compacted(messages: list[Said]) -> list[Said]:
    """Keep the last record of each key, as a cleaner does."""
    last = {m.key(): n for n, m in enumerate(messages)}
    return [m for n, m in enumerate(messages) if last[m.key()] == n]


def contents() -> Contents:
    """Return what an honest worker leaves."""
    return honest(varied())


def test_a_verdict_that_a_later_one_replaced_may_have_been_removed() -> None:
    """On a compacted topic an edited comment's first verdict may be gone: unproven, not lost."""
    kept = contents().changed("verdicts", compacted).changed("flags", compacted)

    found = findings_of(kept, memories=Memories(verdicts=COMPACTED, flags=COMPACTED))

    assert Answer.UNPROVEN is found.answer(), list(found)
    assert Answer.REFUTED is findings_of(kept).answer()


def test_the_last_verdict_of_a_comment_is_never_removed() -> None:
    """No compaction takes away what nothing replaced."""
    kept = contents()
    last = next(m for m in reversed(kept.verdicts) if m.value() is not None)
    later = [m for m in kept.verdicts if m.key() == last.key()]
    assert later[-1] is last
    kept = kept.without_outcomes(last.source)

    found = findings_of(kept, memories=Memories(verdicts=COMPACTED, flags=COMPACTED))

    assert Answer.REFUTED is found.answer(Promise.OUTCOMES)


def test_dead_letters_that_expired_leave_held_verdicts_unproven() -> None:
    """A dead letter alone may be among them, too: where no id could be read nothing is lost."""
    kept = contents().changed("dead_letters", lambda _: [])

    found = findings_of(kept, memories=Memories(letters=Memory(beginning=True)))

    assert Answer.UNPROVEN is found.answer(), list(found)


def test_flags_that_expired_leave_their_verdicts_unproven() -> None:
    """Flags are kept for a month."""
    kept = contents().changed("flags", lambda all_: all_[len(all_) // 2 :])

    found = findings_of(kept, memories=Memories(flags=Memory(beginning=True)))

    assert Answer.UNPROVEN is found.answer(), list(found)


def test_flags_that_cannot_be_read_are_no_lost_flags() -> None:
    """Without the right to read them nothing is said of them here."""
    kept = contents().changed("flags", lambda _: [])

    found = findings_of(kept, memories=Memories(flags=Memory(beginning=True, unread=True)))

    assert list(found) == []


def test_a_tombstone_may_have_served_its_time() -> None:
    """After delete.retention.ms the cleaner removes tombstones as well."""
    kept = contents().without("verdicts", lambda m: m.value() is None)
    memory = Memory(superseded=True, stones=True)

    found = findings_of(kept, memories=Memories(verdicts=memory))

    assert Answer.UNPROVEN is found.answer(), list(found)


def test_outcomes_of_comments_that_the_input_lost_are_unproven() -> None:
    """A compacted topic of comments, or one whose start moved up while it was read."""
    kept = contents().without("comments", lambda m: m.offset() < 20)

    found = findings_of(kept, memories=Memories(comments=Memory(beginning=True)))

    assert Answer.UNPROVEN is found.answer(Promise.ORIGINS), list(found)


@pytest.mark.parametrize(
    "value",
    [
        b"{broken",
        b"[]",
        b"7",
        b"{}",
        b'{"source": 7}',
        b'{"source": {"topic": "comments", "partition": true, "offset": 1}}',
        b'{"source": {"topic": "comments", "partition": 0, "offset": -1}}',
        b'{"source": {"topic": "comments", "partition": 0, "offset": 1e300}}',
        b'{"source": {"topic": "comments", "partition": 9999999999999, "offset": 1}}',
    ],
)
def test_records_of_another_shape_are_named_and_leave_doubt(value: bytes) -> None:
    """Whoever wrote them, no outcome can be read from them."""
    strange = Said(1, 0, b"k", value)
    for topic in ("verdicts", "flags", "dead_letters"):
        kept = contents().changed(topic, lambda all_: [*all_, strange])

        found = findings_of(kept)

        assert Answer.UNPROVEN is found.answer(), list(found)
        (finding,) = found
        assert "another shape" in finding.what
        assert [position.partition for position in finding.first] == [1]


def test_outcomes_of_another_input_are_not_ours_to_prove() -> None:
    """Two gates that share their outputs cannot tell their erasures apart."""
    stranger = next(m for m in contents().verdicts if m.value() is not None)
    source = stranger.payload["source"] | {"topic": "elsewhere"}

    found = findings_of(
        contents().changed("verdicts", lambda all_: [*all_, stranger.with_payload(source=source)])
    )

    assert Answer.UNPROVEN is found.answer(Promise.OUTCOMES)


def test_too_many_records_under_one_key_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded: what was not looked at is said, and nothing else is."""
    monkeypatch.setattr("deploy.reconcile.stories.MOST_ROWS", 3)

    found = findings_of(contents())

    assert Answer.UNPROVEN is found.answer(), list(found)
    assert any("not looked at" in finding.what for finding in found)


def test_a_young_log_of_one_segment_was_never_compacted() -> None:
    """The cleaner never touches a log's last segment, so that a lost verdict is lost."""
    assert memory_of(CONFIG, [0], [10_000], HOUR_MS) == Memory()


@pytest.mark.parametrize(
    ("changes", "begins", "ends", "age_ms"),
    [
        ({}, [0], [10_000], 30 * HOUR_MS),
        ({}, [0, 7], [10_000, 10_000], HOUR_MS),
        ({}, [0], [10_000_000], HOUR_MS),
        ({"segment.ms": "60000"}, [0], [10], HOUR_MS),
        ({"segment.bytes": "1048576"}, [0], [10_000], HOUR_MS),
    ],
)
def test_an_older_or_larger_one_may_have_been(
    changes: dict[str, str], begins: list[int], ends: list[int], age_ms: int
) -> None:
    """Its first segment was closed by age or by size, or its beginning is gone."""
    assert memory_of(CONFIG | changes, begins, ends, age_ms).superseded


def test_a_compaction_lag_keeps_the_cleaner_away() -> None:
    """min.compaction.lag.ms is the cluster's own promise."""
    config = CONFIG | {"min.compaction.lag.ms": str(100 * HOUR_MS)}

    assert not memory_of(config, [0], [10_000_000], 99 * HOUR_MS).superseded


def test_settings_that_may_not_be_seen_are_taken_for_the_worst() -> None:
    """Nothing is called lost that a cleaner could have removed."""
    assert memory_of(None, [0], [10], 1) == Memory(superseded=True, stones=True)


def by_api(message: Said) -> Said:
    """Return a verdict that came over the API, under the same key."""
    return message.with_payload(source=None, verdict_id="6a0f6c2e-54a4-5b0e-9d36-0c6f1a3f7d10")


def test_verdicts_of_the_api_change_nothing() -> None:
    """They come of no offset: there is nothing to hold them against."""
    kept = contents()
    verdicts = [by_api(m) for m in kept.verdicts if m.value() is not None]
    flags = [by_api(m) for m in kept.flags if m.value() is not None]
    kept = kept.changed("verdicts", lambda all_: [*verdicts, *all_])
    kept = kept.changed("flags", lambda all_: [*all_, *flags[:3]])

    found = findings_of(kept)

    assert Answer.PROVEN is found.answer(), list(found)


def test_a_verdict_that_one_of_the_api_replaced_may_have_been_removed() -> None:
    """The comment came over both, and the topic is compacted by its id."""
    kept = contents()
    last = next(m for m in reversed(kept.verdicts) if m.value() is not None)
    kept = kept.without_outcomes(last.source)
    kept = kept.changed("verdicts", lambda all_: [*all_, by_api(last)])
    memories = Memories(verdicts=COMPACTED, flags=COMPACTED)

    assert Answer.UNPROVEN is findings_of(kept, memories=memories).answer(Promise.OUTCOMES)
    assert Answer.REFUTED is findings_of(kept).answer(Promise.OUTCOMES)
