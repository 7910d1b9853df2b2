"""Reconcile itself: each broken promise is refuted by its name, and an honest run is proven.

The first twelve are those of the fault matrix, as they show on the topics.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, starmap

import pytest

from deploy.reconcile.findings import Answer, Promise
from rig.contents import Contents, Said, findings_of, honest, tops_of, varied
from rig.make import make_record, value_of
from schemas.verdict import verdict_id


def contents() -> Contents:
    """Return what an honest worker leaves, a dead letter without its payload among it."""
    return honest(varied(), emptied=[4, 21])


def scored(messages: Sequence[Said]) -> list[int]:
    """Return the indices of verdicts that were scored."""
    return [n for n, m in enumerate(messages) if m.payload.get("status") == "scored"]


def judged_again(kept: Contents, of: slice, version: str = "") -> Contents:
    """Let another worker judge some of the comments once more, at a later time."""

    def again(messages: list[Said]) -> list[Said]:
        later = [m for m in messages if m.value() is not None][of]
        return [*messages, *(_once_more(m, version) for m in later)]

    sources = {m.source for m in kept.verdicts if m.value() is not None}
    picked = sorted(sources)[of]
    repeated = kept.changed("verdicts", again)
    return repeated if picked else kept


def _once_more(message: Said, version: str) -> Said:
    changes: dict[str, object] = {"scored_at": "2026-01-01T00:00:00.000+00:00"}
    if version:
        number, offset = message.source
        changes |= {
            "verdict_id": verdict_id("comments", number, offset, version),
            "model": {"name": "other", "version": version},
        }
    return message.with_payload(**changes)


def swapped(messages: list[Said]) -> list[Said]:
    """Put two verdicts of one key into the other order."""
    first = scored(messages)[0]
    key = messages[first].key()
    second = next(n for n in scored(messages) if n > first and messages[n].key() == key)
    messages[first], messages[second] = messages[second], messages[first]
    return messages


def shifted(messages: list[Said]) -> list[Said]:
    """Join results to the next comment's place, as an off-by-one would."""
    all_scored = scored(messages)
    for one, other in pairwise(all_scored):
        source, version = messages[other].payload["source"], messages[other].payload["model"]
        identity = verdict_id("comments", *messages[other].source, version["version"])
        messages[one] = messages[one].with_payload(source=source, verdict_id=identity)
    del messages[all_scored[-1]]
    return messages


def reencoded(messages: list[Said]) -> list[Said]:
    """Write a dead letter anew, as it was understood."""
    whole = next(n for n, m in enumerate(messages) if m.value() is not None)
    messages[whole] = messages[whole]._replace(its_value=b'"{broken"')
    return messages


def one_header_less(messages: list[Said]) -> list[Said]:
    """Keep headers in a mapping, where repeated keys are one."""
    rich = next(n for n, m in enumerate(messages) if len(m.headers()) > 6)
    own, ours = messages[rich].headers()[:-6], messages[rich].headers()[-6:]
    messages[rich] = messages[rich]._replace(its_headers=(*dict(own).items(), *ours))
    return messages


def without_stones(messages: list[Said]) -> list[Said]:
    """Lose the last tombstone."""
    last = max(n for n, m in enumerate(messages) if m.value() is None)
    return messages[:last] + messages[last + 1 :]


def early_stones(messages: list[Said]) -> list[Said]:
    """Let erasures overtake the comments that they erase."""
    return sorted(messages, key=lambda m: m.value() is not None)


def emptied_wrongly(messages: list[Said]) -> list[Said]:
    """Name the hash of another payload."""
    index = next(n for n, m in enumerate(messages) if m.value() is None and len(m.headers()) == 6)
    headers = [
        (name, b"sha256 " + b"0" * 64 if name == "tidegate.detail" else value)
        for name, value in messages[index].headers()
    ]
    messages[index] = messages[index]._replace(its_headers=tuple(headers))
    return messages


def first_becomes(messages: list[Said], become: Callable[[Said], Said] | None = None) -> list[Said]:
    """Change the first record that is no tombstone, or lose it."""
    index = next(n for n, m in enumerate(messages) if m.value() is not None)
    messages[index : index + 1] = [become(messages[index])] if become else []
    return messages


def aimed(messages: Sequence[Said], partition: int, offset: int) -> Said:
    """Return a verdict of another place."""
    source = {"topic": "comments", "partition": partition, "offset": offset, "timestamp": 0}
    return next(m for m in messages if m.value() is not None).with_payload(source=source)


@dataclass(frozen=True)
class Bug:
    """A fault in what stands on the topics, and the promise that it breaks."""

    breaks: Promise
    make: Callable[[Contents], Contents] = lambda c: c
    cuts: Callable[[Sequence[int]], Sequence[int]] = field(default=list)


BUGS = {
    "offset not plus one": Bug(Promise.ORIGINS, cuts=lambda tops: [top - 1 for top in tops]),
    "gate off, two owners judge": Bug(
        Promise.IDS, lambda c: judged_again(c, slice(10, 20), version="")
    ),
    "offsets sent first": Bug(
        Promise.OUTCOMES, lambda c: c.without_outcomes(*[m.source for m in c.verdicts[-3:-1]])
    ),
    "metadata of another count": Bug(Promise.IDS, lambda c: judged_again(c, slice(-5, None))),
    "order swapped": Bug(Promise.ORDER, lambda c: c.changed("verdicts", swapped)),
    "results shifted by one": Bug(Promise.ORIGINS, lambda c: c.changed("verdicts", shifted)),
    "abort without retry": Bug(
        Promise.OUTCOMES, lambda c: c.without_outcomes(*[(0, n) for n in range(60)])
    ),
    "dead letter re-encoded": Bug(Promise.LETTERS, lambda c: c.changed("dead_letters", reencoded)),
    "tombstone lost": Bug(Promise.OUTCOMES, lambda c: c.changed("verdicts", without_stones)),
    "exception swallowed in consume": Bug(
        Promise.OUTCOMES, lambda c: c.without_outcomes(*[(1, n) for n in range(20, 40)])
    ),
    "commit before flush": Bug(
        Promise.OUTCOMES, lambda c: c.without_outcomes(c.verdicts[-1].source)
    ),
    "at least once posing as exact": Bug(Promise.IDS, lambda c: judged_again(c, slice(3, 4))),
    # And some of our own.
    "judged by two bundles": Bug(
        Promise.IDS, lambda c: judged_again(c, slice(3, 5), version="other")
    ),
    "tombstone lost on flags": Bug(Promise.OUTCOMES, lambda c: c.changed("flags", without_stones)),
    "a tombstone twice": Bug(
        Promise.ORIGINS,
        lambda c: c.changed(
            "verdicts", lambda all_: [*all_, next(m for m in all_ if m.value() is None)]
        ),
    ),
    "a tombstone of a key that nobody erased": Bug(
        Promise.ORIGINS,
        lambda c: c.changed("verdicts", lambda all_: [*all_, Said(0, 0, b"nobody", None)]),
    ),
    "a tombstone that overtakes": Bug(Promise.ORDER, lambda c: c.changed("verdicts", early_stones)),
    "a flag lost": Bug(Promise.FLAGS, lambda c: c.changed("flags", first_becomes)),
    "a flag twice": Bug(
        Promise.FLAGS,
        lambda c: c.changed("flags", lambda all_: [*all_, *(m for m in all_ if m.value())][:-1]),
    ),
    "a flag of other bytes": Bug(
        Promise.FLAGS,
        lambda c: c.changed(
            "flags", lambda all_: first_becomes(all_, lambda m: m.with_payload(policy="x"))
        ),
    ),
    "a flag of an allowed comment": Bug(
        Promise.FLAGS,
        lambda c: c.changed(
            "flags",
            lambda all_: [*all_, next(m for m in c.verdicts if m.payload["action"] == "allow")],
        ),
    ),
    "a dead letter lost": Bug(
        Promise.OUTCOMES, lambda c: c.changed("dead_letters", lambda all_: all_[1:])
    ),
    "a dead letter twice": Bug(
        Promise.OUTCOMES, lambda c: c.changed("dead_letters", lambda all_: [*all_, all_[-1]])
    ),
    "a held verdict lost": Bug(
        Promise.OUTCOMES,
        lambda c: c.without("verdicts", lambda m: m.payload.get("status") == "held"),
    ),
    "a repeated header lost": Bug(
        Promise.LETTERS, lambda c: c.changed("dead_letters", one_header_less)
    ),
    "the hash of another payload": Bug(
        Promise.LETTERS, lambda c: c.changed("dead_letters", emptied_wrongly)
    ),
    "an id of another place": Bug(
        Promise.IDS,
        lambda c: c.changed(
            "verdicts",
            lambda all_: first_becomes(all_, lambda m: m.with_payload(verdict_id="another")),
        ),
    ),
    "a verdict of no offset": Bug(
        Promise.ORIGINS,
        lambda c: c.changed("verdicts", lambda all_: [*all_, aimed(all_, 0, 999)]),
    ),
    "a verdict of no partition": Bug(
        Promise.ORIGINS,
        lambda c: c.changed("verdicts", lambda all_: [*all_, aimed(all_, 77, 0)]),
    ),
    "a verdict of an aborted comment": Bug(
        Promise.ORIGINS, lambda c: c.without("comments", lambda m: m.offset() == 30)
    ),
    "a verdict of an erasure": Bug(
        Promise.OUTCOMES,
        lambda c: c.changed(
            "comments",
            lambda all_: [
                m._replace(its_value=None) if m[:2] == c.verdicts[0].source else m for m in all_
            ],
        ),
    ),
    "a verdict under another key": Bug(
        Promise.ORIGINS,
        lambda c: c.changed(
            "verdicts", lambda all_: first_becomes(all_, lambda m: m._replace(its_key=b"other"))
        ),
    ),
}


def test_an_honest_run_is_proven() -> None:
    """There are flags, dead letters, erasures and an emptied letter in it: all can break."""
    kept = contents()

    assert list(findings_of(kept)) == []
    assert len(kept.verdicts) > 40
    assert len(kept.flags) > 15
    assert {True, False} == {m.value() is None for m in kept.dead_letters}


@pytest.mark.parametrize("name", BUGS)
def test_every_seeded_bug_is_refuted(name: str) -> None:
    """By the promise that it breaks, and with a place to look at."""
    bug, kept = BUGS[name], contents()

    findings = findings_of(bug.make(kept), cuts=bug.cuts(tops_of(kept.comments)))

    refuting = [f for f in findings.of(bug.breaks) if f.answer is Answer.REFUTED]
    assert refuting, list(findings)
    assert all(f.count and f.first for f in refuting)
    assert Answer.REFUTED is findings.answer()


def test_at_least_once_may_repeat_under_the_same_id() -> None:
    """And run ahead of the committed offset; another bundle's repeat has another id."""
    kept = contents()
    repeated = judged_again(kept, slice(10, 20))
    repeated = repeated.changed("flags", lambda all_: [*all_, next(m for m in all_ if m.value())])
    cuts = [top - 1 for top in tops_of(kept.comments)]

    assert list(findings_of(repeated, cuts=cuts, repeats=True)) == []
    other = findings_of(judged_again(kept, slice(3, 5), version="other"), repeats=True)
    assert Answer.REFUTED is other.answer(Promise.IDS)


def test_at_least_once_a_flag_may_be_of_another_try_than_its_verdict() -> None:
    """A worker that was killed sent one of the two; the next try has another time, other company.

    Its id is the same; a flag under an id that no verdict has is alone.
    """

    def of_another_try(flag: Said) -> Said:
        scores = dict.fromkeys(flag.payload["scores"], 0.99)
        return flag.with_payload(scored_at="2026-01-01T00:00:00.000+00:00", scores=scores)

    def of_another_bundle(flag: Said) -> Said:
        return _once_more(flag, "other")

    kept = contents()
    later = kept.changed("flags", lambda flags: first_becomes(flags, of_another_try))
    other = kept.changed("flags", lambda flags: first_becomes(flags, of_another_bundle))
    assert list(findings_of(later, repeats=True)) == []
    assert Answer.REFUTED is findings_of(later).answer(Promise.FLAGS)
    assert Answer.REFUTED is findings_of(other, repeats=True).answer(Promise.FLAGS)


def test_what_is_committed_between_the_looks_may_have_its_outcome_or_not() -> None:
    """A worker that runs meanwhile refutes nothing."""
    kept = contents()
    tops = tops_of(kept.comments)
    cuts = [top // 2 for top in tops]
    some = kept.without_outcomes(*starmap(lambda n, top: (n, top - 1), enumerate(tops)))

    assert list(findings_of(kept, cuts=cuts, ends=tops)) == []
    assert Answer.PROVEN is findings_of(some, cuts=cuts, ends=tops).answer(Promise.OUTCOMES)
    assert Answer.REFUTED is findings_of(kept, cuts=cuts).answer(Promise.ORIGINS)


def test_outcomes_below_the_start_are_left_alone() -> None:
    """From a given position on, earlier verdicts and tombstones break nothing."""
    kept = contents()
    later = [top // 2 for top in tops_of(kept.comments)]

    assert list(findings_of(kept, starts=later)) == []


def test_headers_whose_names_are_no_text_are_left_out_of_the_dead_letter() -> None:
    """The worker cannot read them, and neither can we."""
    record = make_record(0, value_of())._replace(headers_readable=False)

    assert list(findings_of(honest([record]))) == []
