"""The step onto the device: what was lost while it waited is left out, and nothing else."""

from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from

from rig.make import make_fetched, make_prepared, make_record, value_of
from worker.boarding import boarded, only
from worker.claims import Claims
from worker.window import Comment, Fetched, Partition, Prepared

KINDS = ("comment", "erasure", "refusal")


def a_window(rows: list[tuple[str, int]]) -> Prepared:
    """Return a window of such kinds of records on such partitions, text n being n words."""
    values = {"erasure": None, "refusal": b"no json"}
    return make_prepared(
        [
            make_record(n, values.get(kind, value_of("w " * (n + 1))), partition=partition)
            for n, (kind, partition) in enumerate(rows)
        ]
    )


@given(rows=lists(sampled_from([(k, p) for k in KINDS for p in range(3)])), kept=integers(0, 7))
def test_what_is_kept_keeps_its_own_pieces(rows: list[tuple[str, int]], kept: int) -> None:
    """Each comment that stays has the pieces that it had, each record its entry."""
    window = a_window(rows)
    live = frozenset(Partition("comments", n) for n in range(3) if kept >> n & 1)

    part = only(window, live)

    before = [
        (record, entry)
        for record, entry in zip(window.fetched.records, window.entries, strict=True)
        if record.partition in live
    ]
    assert [record for record, _ in before] == list(part.fetched.records)
    for (_, was), now in zip(before, part.entries, strict=True):
        if isinstance(was, Comment):
            assert isinstance(now, Comment)
            assert was.event == now.event
            assert [window.pieces[p] for p in was.pieces] == [part.pieces[p] for p in now.pieces]
        else:
            assert was == now
    assert sum(len(e.pieces) for e in part.entries if isinstance(e, Comment)) == len(part.pieces)
    assert window.fetched.claim is part.fetched.claim


def test_windows_of_lost_partitions_are_never_scored() -> None:
    """A whole window passes as it is, a part as a part, and one that is lost not at all."""
    claims = Claims()
    partitions = [Partition("comments", n) for n in range(2)]
    claims.assign(partitions)
    windows = [a_window([("comment", 0)]), a_window([("comment", 1)])]
    both = a_window([("comment", 0), ("comment", 1)])
    fetched = Fetched(claims.claim(partitions), both.fetched.records)
    whole = Prepared(fetched, both.entries, both.pieces, 0)
    assert [whole] == list(boarded([whole], claims))
    claims.land(fetched.claim)

    claims.lose([partitions[0]])

    assert [windows[1], only(whole, frozenset({partitions[1]}))] == list(
        boarded([*windows, whole], claims)
    )


def test_a_window_without_a_claim_is_never_scored() -> None:
    """All its partitions had gone before it could be claimed."""
    claims = Claims()
    window = a_window([("comment", 0)])
    unclaimed = Fetched(claims.claim([Partition("comments", 0)]), window.fetched.records)

    found = boarded([Prepared(unclaimed, window.entries, window.pieces, 0)], claims)

    assert list(found) == []
    assert make_fetched([]).claim == unclaimed.claim
