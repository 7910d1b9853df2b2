"""The simulated worker keeps the rules of the real one, and a plan follows from it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, lists

from benchmarks.capacity import COMMENTS, Load, lengths, main, plan
from benchmarks.costs import fitted, measured_worker
from benchmarks.simulated import Cost, SimulatedWorker, poisson

WORKER = SimulatedWorker(Cost(0.0, 1e-4), Cost(0.005, 1e-4), Cost(0.02, 1e-5))
COMMENT_S = 0.02 + 1e-4 + 0.005 + 50e-4 + 0.02 + 1e-5  # of 50 tokens, alone


def test_a_lone_comment_waits_for_companions_and_then_passes_each_room_once() -> None:
    """Nothing else stands in its way."""
    arrivals = np.array([1.0, 5.0, 9.0])

    waited = WORKER.latencies(arrivals, np.array([50, 50, 50]))

    assert waited == pytest.approx([COMMENT_S] * 3)


@given(
    gaps=lists(floats(0, 0.05), min_size=1, max_size=300),
    tokens=integers(1, 256),
    most=integers(1, 40),
)
def test_every_comment_is_judged_once_after_it_came_and_in_windows_of_the_set_size(
    gaps: list[float], tokens: int, most: int
) -> None:
    """Windows follow each other, and none is committed before the one before it."""
    arrivals = np.cumsum(gaps)
    worker = SimulatedWorker(WORKER.prepare, WORKER.score, WORKER.publish, most)
    windows = list(worker._windows(arrivals, np.arange(len(gaps) + 1) * tokens))  # noqa: SLF001

    assert [n for comments, _ in windows for n in range(len(gaps))[comments]] == [*range(len(gaps))]
    assert max(comments.stop - comments.start for comments, _ in windows) <= most
    assert np.all(np.diff([committed for _, committed in windows]) > 0)
    assert np.all(worker.latencies(arrivals, np.full(len(gaps), tokens)) > 0)


def test_waiting_grows_with_the_load_and_without_bound_beyond_what_the_worker_can_bear() -> None:
    """A queue that is longer after a minute than after half of it never ends."""
    tokens = lengths(20_000, seed=1)
    capacity = WORKER.capacity(float(tokens.mean()))
    means = [
        WORKER.latencies(poisson(share * capacity, len(tokens), seed=1), tokens).mean()
        for share in (0.3, 0.6, 0.9, 1.2)
    ]
    beyond = WORKER.latencies(poisson(1.2 * capacity, len(tokens), seed=1), tokens)

    assert means == sorted(means)
    assert beyond[-1] > 1.6 * beyond[len(beyond) // 2]


def test_pods_are_as_many_as_the_busiest_hour_needs_and_are_paid_all_day() -> None:
    """Twice the mean of a billion a day, at 60 % of what a pod can bear."""
    found = plan(Load(1e9, 2), WORKER, price=0.1, share=0.6)

    needed = 1e9 / 86_400 * 2 / (WORKER.capacity(float(lengths(COMMENTS, 1).mean())) * 0.6)
    assert needed <= found.pods < needed + 1
    assert found.partitions == 2 * found.pods
    assert found.dollars_a_million == pytest.approx(found.pods * 0.1 * 24 / 1000)
    assert 0 < found.p50_ms < found.p99_ms


def test_lengths_are_those_of_real_comments() -> None:
    """105 tokens in the mean, half as many in the middle, and some of ten times that."""
    found = lengths(100_000, seed=0)

    assert found.mean() == pytest.approx(105, rel=0.05)
    assert np.median(found) == pytest.approx(52, abs=2)
    assert (found.min() >= 3, found.max()) == (True, 1_024)


@given(window_s=floats(0, 1), item_s=floats(0, 0.01))
def test_what_a_room_costs_is_found_in_its_log(window_s: float, item_s: float) -> None:
    """Exactly, where the log has no noise; and no cost is below nothing."""
    items = np.array([1.0, 10.0, 200.0, 500.0])

    found = fitted(items, window_s + item_s * items)

    assert found.window_s == pytest.approx(window_s, abs=1e-6)
    assert found.item_s == pytest.approx(item_s, abs=1e-6)
    assert min(fitted(items, np.array([3.0, 2.0, 1.0, 0.5]))) >= 0
    assert min(fitted(items, items - 1)) >= 0


def test_a_worker_is_read_from_its_windows() -> None:
    """Preparing and publishing by comments, scoring by tokens."""
    windows = [
        {
            "comments": n,
            "tokens": 60 * n,
            "prepare_ms": 2 * n,
            "score_ms": 5 + 6 * n,
            "publish_ms": 20 + n,
        }
        for n in (1, 50, 400)
    ]

    found = measured_worker(windows, 500)

    assert found.prepare.item_s == pytest.approx(0.002)
    assert (found.score.window_s, found.score.item_s) == pytest.approx((0.005, 0.0001))
    assert (found.publish.window_s, found.publish.item_s) == pytest.approx((0.02, 0.001))


def test_the_table_has_a_row_for_each_load_and_refuses_what_cannot_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As Markdown, ready for a page; a price of nothing is named."""
    main(["--per-day", "5e8", "--tokens-per-s", "20000", "--price", "0.1"])
    rows = capsys.readouterr().out.splitlines()
    with pytest.raises(SystemExit):
        main(["--per-day", "5e8", "--tokens-per-s", "20000", "--price", "0"])

    assert [row.split("|")[1].strip() for row in rows[2:]] == ["50%", "60%", "70%", "80%", "90%"]
    assert "--price: 0 is not above 0" in capsys.readouterr().err
