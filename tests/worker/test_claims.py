"""Claims: what was fetched under an older assignment is never published."""

from collections.abc import Callable
from threading import Event, Thread

import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule
from hypothesis.strategies import frozensets, sampled_from

from rig.stream import eventually
from worker.claims import Claims
from worker.window import Claim, Partition

P = [Partition("comments", number) for number in range(3)]
SOME = frozensets(sampled_from(P), min_size=1)


class EveryWayOfPartitions(RuleBasedStateMachine):
    """Partitions come and go while windows are fetched, board, pass the gate and land."""

    def __init__(self) -> None:
        super().__init__()
        self.claims = Claims()
        self.ours: dict[Partition, int] = {}  # partition -> when it became ours
        self.clock = 0
        self.fetched_when: dict[int, dict[Partition, int]] = {}  # by the claim's identity
        self.boarded: list[tuple[Claim, frozenset[Partition]]] = []

    waiting: Bundle[Claim] = Bundle("waiting")
    aboard: Bundle[Claim] = Bundle("aboard")

    @rule(partitions=SOME)
    def assign(self, partitions: frozenset[Partition]) -> None:
        """The group gives partitions that are not ours."""
        new = partitions - self.ours.keys()
        self.clock += 1
        self.claims.assign(new)
        self.ours |= dict.fromkeys(new, self.clock)
        assert sorted(self.ours) == self.claims.owned()

    @rule(partitions=SOME)
    def revoke(self, partitions: frozenset[Partition]) -> None:
        """The group asks partitions back; there is no time to wait."""
        finished = self.claims.revoke(partitions, deadline_s=0)
        assert finished == (not any(partitions & live for _, live in self.boarded))
        for partition in partitions:
            self.ours.pop(partition, None)

    @rule(partitions=SOME)
    def lose(self, partitions: frozenset[Partition]) -> None:
        """The group has given partitions away already."""
        self.claims.lose(partitions)
        for partition in partitions:
            self.ours.pop(partition, None)

    @rule(target=waiting, partitions=SOME)
    def fetch(self, partitions: frozenset[Partition]) -> Claim:
        """A window is fetched of what is ours among some partitions."""
        claim = self.claims.claim(partitions)
        mine = {p: when for p, when in self.ours.items() if p in partitions}
        assert mine.keys() == claim.counts.keys()
        self.fetched_when[id(claim)] = mine
        return claim

    @rule(target=aboard, claim=consumes(waiting))
    def board(self, claim: Claim) -> Claim:
        """A window goes onto the device, or what is left of it."""
        live = self.claims.board(claim)
        assert self._still_ours(claim) == live
        if live:
            self.boarded.append((claim, live))
        return claim

    @rule(claim=aboard)
    def pass_the_gate(self, claim: Claim) -> None:
        """A window may be published only as far as its own assignment still holds."""
        with self.claims.gate(claim) as (live, _):
            assert self._still_ours(claim) == live

    @rule(claim=consumes(aboard))
    def land(self, claim: Claim) -> None:
        """A window was committed or dropped."""
        self.claims.land(claim)
        self.boarded = [(other, live) for other, live in self.boarded if other is not claim]

    def _still_ours(self, claim: Claim) -> frozenset[Partition]:
        fetched = self.fetched_when[id(claim)]
        return frozenset(p for p, when in fetched.items() if self.ours.get(p) == when)


TestEveryWayOfPartitions = EveryWayOfPartitions.TestCase
TestEveryWayOfPartitions.settings = settings(max_examples=100, stateful_step_count=40)


def in_a_thread(act: Callable[[], object]) -> Thread:
    """Start something that may have to wait."""
    thread = Thread(target=act, daemon=True)
    thread.start()
    return thread


def tried(claims: Claims, claim: Claim) -> frozenset[Partition]:
    """Return for which partitions a window may board, and take it off again."""
    live = claims.board(claim)
    claims.land(claim)
    return live


def gated(claims: Claims, claim: Claim) -> frozenset[Partition]:
    """Return what of a window may be published."""
    with claims.gate(claim) as (live, _):
        return live


def test_a_partition_assigned_again_revives_no_older_claim() -> None:
    """Another worker may have judged the same comments in between."""
    claims = Claims()
    claims.assign(P)
    old = claims.claim(P)
    claims.lose([P[0]])
    claims.assign([P[0]])

    assert {P[1], P[2]} == gated(claims, old)
    assert set(P) == gated(claims, claims.claim(P))


def test_a_revocation_waits_for_windows_on_the_device() -> None:
    """It ends when they have landed, and says that they were finished in time."""
    claims, answers = Claims(), list[bool]()
    claims.assign(P)
    on_device, waiting = claims.claim(P), claims.claim(P)
    claims.board(on_device)

    thread = in_a_thread(lambda: answers.append(claims.revoke(P, deadline_s=60)))
    eventually(lambda: not tried(claims, waiting))  # asked back: nothing more may board
    assert thread.is_alive()
    assert set(P) == gated(claims, on_device)
    claims.land(on_device)
    thread.join(60)

    assert answers == [True]
    assert frozenset() == gated(claims, waiting)


def test_a_revocation_waits_for_no_other_partitions_windows() -> None:
    """Nor for a window of which only the partitions that stay went aboard."""
    claims, answers = Claims(), list[bool]()
    claims.assign(P)
    first, mixed = claims.claim([P[0]]), claims.claim([P[0], P[1]])
    claims.board(first)

    thread = in_a_thread(lambda: answers.append(claims.revoke([P[0]], deadline_s=60)))
    eventually(lambda: not tried(claims, claims.claim([P[0]])))
    assert {P[1]} == claims.board(mixed)
    claims.land(first)
    thread.join(20)

    assert answers == [True]


def test_past_its_deadline_a_revocation_lets_go() -> None:
    """The window on the device finds the gate closed, and nobody waits for it any more."""
    claims = Claims()
    claims.assign(P)
    slow = claims.claim(P)
    claims.board(slow)

    assert not claims.revoke(P, deadline_s=0.01)
    assert frozenset() == gated(claims, slow)


def test_what_is_lost_is_closed_at_once() -> None:
    """No waiting: another worker has the partition already."""
    claims = Claims()
    claims.assign(P)
    on_device = claims.claim(P)
    claims.board(on_device)

    claims.lose([P[0]])

    assert {P[1], P[2]} == gated(claims, on_device)


def test_the_gate_holds_a_revocation_back() -> None:
    """While offsets are being sent, no partition changes hands."""
    claims, lost, inside = Claims(), Event(), Event()
    claims.assign(P)
    claim = claims.claim(P)

    def lose() -> None:
        inside.set()
        claims.lose(P)
        lost.set()

    with claims.gate(claim) as (live, _):
        thread = in_a_thread(lose)
        inside.wait(60)
        assert set(P) == live
        assert not lost.wait(0.05)
    thread.join(60)

    assert lost.is_set()


def test_waiting_for_metadata_ends_when_intake_reads_it() -> None:
    """The publisher goes on with what intake read, or after its patience."""
    claims = Claims()
    claims.refresh("old")
    claims.await_metadata("old", 0.01)

    thread = in_a_thread(lambda: claims.await_metadata("old", 60))
    claims.refresh("new")
    thread.join(60)

    assert not thread.is_alive()
    with claims.gate(Claim({})) as (_, metadata):
        assert metadata == "new"


def test_metadata_that_was_read_meanwhile_is_not_waited_for() -> None:
    """A revocation reads it first of all, and no more until it ends."""
    claims = Claims()
    claims.refresh("of the revocation")

    thread = in_a_thread(lambda: claims.await_metadata("refused", 60))
    thread.join(20)

    assert not thread.is_alive()


def test_a_revocation_lets_go_when_the_group_has_moved_on_again() -> None:
    """Its windows could be committed once we have joined anew, which waits for it."""
    claims, answers = Claims(), list[bool]()
    claims.assign(P)
    claims.refresh("old")
    on_device = claims.claim(P)
    claims.board(on_device)
    claims.await_metadata("old", 0)  # of before counts no more

    thread = in_a_thread(lambda: answers.append(claims.revoke(P, deadline_s=60)))
    eventually(lambda: not tried(claims, claims.claim(P)))
    claims.await_metadata("old", 0)
    thread.join(0.1)
    assert thread.is_alive()
    claims.await_metadata("of the revocation", 0)
    thread.join(20)

    assert answers == [False]
    assert frozenset() == gated(claims, on_device)


def test_the_deadline_of_a_revocation_runs_while_it_waits_for_the_gate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else it would take the time of a window at the gate, and all of its own after that."""
    claims, times, waited = Claims(), iter([100.0, 104.0]), []
    monkeypatch.setattr("worker.claims.monotonic", lambda: next(times))
    monkeypatch.setattr(claims._changed, "wait_for", lambda _, for_s: waited.append(for_s))  # noqa: SLF001

    claims.revoke([P[0]], 5)

    assert waited == [1.0]
