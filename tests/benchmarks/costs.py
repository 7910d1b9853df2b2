"""What each room costs, from a worker's log of its windows: by least squares."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulated import Cost, SimulatedWorker

ROOMS: Final = ("prepare", "score", "publish")


def measured_worker(windows: Sequence[dict[str, Any]], max_messages: int) -> SimulatedWorker:
    """Describe the worker that logged these windows.

    Args:
        windows: `window` events; the first ones warm shapes up, and should be left out.
        max_messages: in a window.
    """
    comments = np.array([window["comments"] for window in windows], dtype=np.float64)
    tokens = np.array([window["tokens"] for window in windows], dtype=np.float64)
    seconds = {
        room: np.array([window[f"{room}_ms"] for window in windows]) / 1000 for room in ROOMS
    }
    return SimulatedWorker(
        fitted(comments, seconds["prepare"]),
        fitted(tokens, seconds["score"]),
        fitted(comments, seconds["publish"]),
        max_messages,
    )


def fitted(items: NDArray[np.float64], seconds: NDArray[np.float64]) -> Cost:
    """Return the cost of a window and of an item that fit best; none is below 0.

    Args:
        items: [windows] in each.
        seconds: [windows] that each took.
    """
    columns = np.stack([np.ones_like(items), items], axis=1)
    (window_s, item_s), *_ = np.linalg.lstsq(columns, seconds)
    if item_s < 0:
        return Cost(float(seconds.mean()), 0.0)
    if window_s < 0:
        return Cost(0.0, float(items @ seconds / (items @ items)))
    return Cost(float(window_s), float(item_s))
