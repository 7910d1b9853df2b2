"""A window observed at once is what the library's histogram says of its values one by one."""

import numpy as np
from hypothesis import given
from hypothesis.strategies import floats, lists
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import Metric

from worker.latencies import Latencies
from worker.metrics import LATENCY

SECONDS = floats(0, 4_000) | floats(0, 1).map(lambda part: LATENCY[int(part * 13)])


def samples(found: list[Metric]) -> dict[tuple[str, str], float]:
    """Return the values by name and bound, less the time of creation, which nobody asks for."""
    return {
        (sample.name, sample.labels.get("le", "")): sample.value
        for metric in found
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


@given(windows=lists(lists(SECONDS)))
def test_windows_are_counted_as_the_librarys_histogram_counts_values(
    windows: list[list[float]],
) -> None:
    """Bounds belong to the bucket below; nothing at all is a window, too."""
    theirs = Histogram("wait_seconds", "Waiting.", buckets=LATENCY, registry=CollectorRegistry())
    ours = Latencies("wait_seconds", "Waiting.", LATENCY)
    for window in windows:
        ours.observe(np.array(window))
        for seconds in window:
            theirs.observe(seconds)

    found, expected = samples(list(ours.collect())), samples(list(theirs.collect()))

    total = ("wait_seconds_sum", "")
    assert np.isclose(found.pop(total), expected.pop(total))
    assert found == expected
