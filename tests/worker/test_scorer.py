"""The room around an engine: the worst of a comment's pieces, calibrated, within the budget."""

import math
from collections.abc import Sequence
from functools import partial
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from

from rig.make import make_fetched, make_record
from rig.stub import stub_manifest
from schemas.bundle import BundleManifest
from schemas.comment import CommentEvent
from schemas.errors import ScoringError
from worker.batching import FLAT, FREE, Layout, MicroBatch, rows_for, width_for
from worker.begun import Begun
from worker.scoring.engine import DeviceMemoryError, Logits
from worker.scoring.scorer import Scorer
from worker.window import Comment, Entry, Erasure, Prepared

LABELS = 6
PIECES = lists(lists(integers(1, 99), min_size=1, max_size=40), max_size=30)
GRID = Layout(8)
LAYOUTS = sampled_from([FLAT, FREE, GRID, Layout(8, shares=True)])


def logits_of(piece: Sequence[int]) -> list[float]:
    """Return what the fake engine makes of a piece: something of its own."""
    return [math.sin(sum(piece) + label) * 4 for label in range(LABELS)]


class FakeEngine:
    """Has room for so many tokens at once, counted as an engine with such a layout counts them."""

    description = "fake"
    budget = 4_096
    requests = 1

    def __init__(self, room: int = 1_000_000, layout: Layout = GRID) -> None:
        self.room = room
        self.layout = layout
        self.tried: list[list[int]] = []  # the lengths in each micro-batch

    def logits(self, batches: Sequence[MicroBatch]) -> list[Logits]:
        """Return the logits of each row."""
        results = []
        for batch in batches:
            pieces = list(chain.from_iterable(batch))
            self.tried.append([len(piece) for piece in pieces])
            widest = width_for(max(sum(map(len, row)) for row in batch), self.layout)
            if rows_for(len(batch), self.layout) * widest > self.room:
                raise DeviceMemoryError("no room")
            results.append(np.array([logits_of(piece) for piece in pieces], dtype=np.float32))
        return results


def calibrated(slope: float, intercept: float) -> BundleManifest:
    """Return the stub's manifest with such a calibration."""
    raw = stub_manifest().model_dump(mode="json")
    raw["calibration"] = {
        label: {"slope": slope, "intercept": intercept} for label in raw["labels"]
    }
    return BundleManifest.model_validate(raw)


def a_window(comments: Sequence[Sequence[Sequence[int]]]) -> Prepared:
    """Return a window of comments with such pieces, an erasure between any two."""
    entries: list[Entry] = []
    pieces: list[Sequence[int]] = []
    for comment in comments:
        place = range(len(pieces), len(pieces) + len(comment))
        entries += [Comment(CommentEvent(id="c", text=""), place, truncated=False), Erasure(b"k")]
        pieces += comment
    records = [make_record(n) for n in range(len(entries))]
    return Prepared(make_fetched(records), entries, pieces, 0)


@given(pieces=PIECES, budget=integers(40, 400), layout=LAYOUTS)
def test_each_piece_gets_its_own_calibrated_probabilities(
    pieces: list[list[int]], budget: int, layout: Layout
) -> None:
    """Whatever company it had in its batch, and whatever the budget."""
    found = Scorer(FakeEngine(layout=layout), calibrated(2.0, -1.0), budget).probabilities(pieces)

    expected = [[1 / (1 + math.exp(-(2 * x - 1))) for x in logits_of(p)] for p in pieces]
    assert (len(pieces), LABELS) == found.shape
    assert np.allclose(np.array(expected).reshape(found.shape), found, atol=1e-6)


@given(
    comments=lists(lists(lists(integers(1, 99), min_size=1, max_size=9), min_size=1, max_size=5))
)
def test_a_comment_takes_the_worst_of_its_pieces(comments: list[list[list[int]]]) -> None:
    """Label by label: hiding behind a long preface must not help."""
    scorer = Scorer(FakeEngine(), calibrated(1.0, 0.0), 512)

    found = scorer(a_window(comments)).scores

    assert (len(comments), LABELS) == found.shape
    for row, pieces in zip(found, comments, strict=True):
        assert np.allclose(scorer.probabilities(pieces).max(axis=0), row)


def test_a_window_without_comments_has_no_scores() -> None:
    """Dead letters and erasures alone."""
    found = Scorer(FakeEngine(), stub_manifest(), 512)(a_window([])).scores

    assert found.shape == (0, LABELS)


@given(pieces=PIECES, room=integers(1, 600), budget=integers(40, 4_096), layout=LAYOUTS)
def test_out_of_memory_gives_up_on_nothing_that_fits(
    pieces: list[list[int]], room: int, budget: int, layout: Layout
) -> None:
    """Every piece that fits the device alone is scored rightly; the others have NaN."""
    engine = FakeEngine(room, layout)
    found = Scorer(engine, calibrated(1.0, 0.0), budget).probabilities(pieces)

    for row, piece in zip(found, pieces, strict=True):
        if width_for(len(piece), layout) <= room:
            assert np.allclose([1 / (1 + math.exp(-x)) for x in logits_of(piece)], row, atol=1e-6)
        else:
            assert np.isnan(row).all()


def test_the_budget_stays_halved() -> None:
    """The next window does not run into the same wall."""
    engine = FakeEngine(room=100)
    scorer = Scorer(engine, stub_manifest(), budget=400)
    pieces = [[1] * 8 for _ in range(50)]
    scorer.probabilities(pieces)
    engine.tried.clear()

    scorer.probabilities(pieces)

    assert engine.tried == [[8] * 12] * 4 + [[8] * 2]


def test_an_engine_that_does_not_pad_gets_more_into_a_budget() -> None:
    """A long piece among short ones costs what it has, and makes the others no wider."""
    engine = FakeEngine(layout=FLAT)

    Scorer(engine, stub_manifest(), budget=100).probabilities([[1] * 60, *[[1] * 3] * 10])

    assert [[60, *[3] * 10]] == engine.tried


def test_a_halved_budget_still_takes_a_long_piece() -> None:
    """Short pieces have halved it below the longest; a long one is tried alone, not refused."""
    engine = FakeEngine(room=64)
    scorer = Scorer(engine, stub_manifest(), budget=128)
    scorer.probabilities([[1] * 8 for _ in range(16)])
    engine.room = 1_000

    found = scorer.probabilities([[1] * 100, [1]])

    assert not np.isnan(found).any()


def test_any_other_failure_of_the_device_goes_up() -> None:
    """Nothing after it can be trusted: no bisecting, no dead letters."""

    class Broken(FakeEngine):
        def logits(self, _: Sequence[MicroBatch]) -> list[Logits]:
            raise ScoringError("illegal memory access")

    with pytest.raises(ScoringError, match="illegal"):
        Scorer(Broken(), stub_manifest(), 512).probabilities([[1]])


@pytest.mark.parametrize("logit", [-1e4, -50.0, 0.0, 50.0, 1e4])
def test_extreme_logits_are_probabilities_all_the_same(logit: float) -> None:
    """No overflow on either side."""

    class Extreme(FakeEngine):
        def logits(self, batches: Sequence[MicroBatch]) -> list[Logits]:
            return [np.full((len(b), LABELS), logit, dtype=np.float32) for b in batches]

    found = Scorer(Extreme(), stub_manifest(), 512).probabilities([[1]])

    assert np.all((found >= 0) & (found <= 1))
    assert bool(logit > 0) == bool(found[0, 0] > 0.5)


def test_an_engine_that_overlaps_computes_windows_before_their_scores_are_asked_for() -> None:
    """Each window has its own scores; one that did not fit is computed again when asked for."""

    class Overlapping(FakeEngine):
        def begin(self, batches: Sequence[MicroBatch]) -> Begun[list[Logits]]:
            self.begun += 1
            return Begun(lambda: True, partial(self.logits, batches))

        begun = 0
        is_idle = True

    engine = Overlapping(room=64)
    overlapping = Scorer(engine, stub_manifest(), budget=128)
    windows = [a_window([[[1] * 8] * 16]), a_window([[[2, 3]], [[4]]])]

    first, second = map(overlapping.begin, windows)

    assert overlapping.overlaps
    assert not Scorer(FakeEngine(), stub_manifest(), 128).overlaps
    assert (engine.begun, engine.tried) == (2, [])
    plain = Scorer(FakeEngine(), stub_manifest(), 128)
    for scored, window in ((first.result(), windows[0]), (second.result(), windows[1])):
        assert scored.prepared is window
        np.testing.assert_allclose(scored.scores, plain(window).scores)


def test_a_window_that_is_begun_behind_another_is_cut_for_the_least_work() -> None:
    """On an idle engine each request gets its share, so that all are through at once."""

    class Busy(FakeEngine):
        requests = 2
        is_idle = True

        def begin(self, batches: Sequence[MicroBatch]) -> Begun[list[Logits]]:
            self.is_idle = False
            return Begun(lambda: True, lambda: self.logits(batches))

    engine = Busy()
    scorer = Scorer(engine, stub_manifest(), budget=512)
    window = a_window([[[1] * 64], [[2] * 64]])

    alone, behind = scorer.begin(window), scorer.begin(window)

    np.testing.assert_allclose(alone.result().scores, behind.result().scores)
    assert engine.tried == [[64], [64], [64, 64]]
