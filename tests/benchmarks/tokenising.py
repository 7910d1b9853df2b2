"""Tokenising word by word against the library alone, which gives the same ids.

Windows of real comments, each both ways, after others that have filled the table. The library
works on all cores and without Python's lock: the time of all cores stands beside the clock's.
"""

from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter, process_time
from typing import Any, Final, NamedTuple

from tokenizers import Encoding, Tokenizer

from benchmarks.texts import real_texts
from deploy.broker import LocalBroker
from worker.settings import SHIPPED_BUNDLE
from worker.tokenise import BundleTokeniser, Pieces

FILE: Final = SHIPPED_BUNDLE / "tokenizer.json"
LENGTH, OVERLAP, MOST = 256, 32, 1_000
WARM: Final = 15_000  # comments
COUNT: Final = 10_000  # comments after them
WINDOW: Final = 500


class Spent(NamedTuple):
    """Microseconds a comment."""

    clock: float
    cores: float


def measure(_: LocalBroker | None) -> dict[str, Any]:
    """Tokenise the same windows both ways, in turn.

    Raises:
        RuntimeError: the ids differ.
    """
    source, texts = real_texts(WARM + COUNT)
    windows = [texts[start : start + WINDOW] for start in range(0, len(texts), WINDOW)]
    ours = BundleTokeniser(FILE, LENGTH, OVERLAP, MOST)
    library = Tokenizer.from_file(str(FILE))
    library.enable_truncation(LENGTH, stride=OVERLAP)
    for window in windows[: WARM // WINDOW]:
        ours(window)
    words, whole = [], []
    for window in windows[WARM // WINDOW :]:
        found, spent = timed(partial(ours, window))
        words.append(spent)
        asked, spent = timed(partial(library.encode_batch_fast, window))
        whole.append(spent)
        if any(map(differ, found, asked)):
            raise RuntimeError("word by word the ids are others")
    return {
        "texts": source,
        "words_us": [round(median(times), 1) for times in zip(*words, strict=True)],
        "library_us": [round(median(times), 1) for times in zip(*whole, strict=True)],
        "ratio": round(median(b.clock / a.clock for a, b in zip(words, whole, strict=True)), 2),
        "cores_ratio": round(
            median(b.cores / a.cores for a, b in zip(words, whole, strict=True)), 2
        ),
    }


def timed(act: Callable[[], Any]) -> tuple[Any, Spent]:
    """Call, and return what it returns and how long a window took."""
    clock, cores = perf_counter(), process_time()
    found = act()
    scale = 1e6 / WINDOW
    return found, Spent((perf_counter() - clock) * scale, (process_time() - cores) * scale)


def differ(pieces: Pieces, encoding: Encoding) -> bool:
    """Say whether a text has other ids."""
    asked = [piece.ids for piece in (encoding, *encoding.overflowing)]
    return [list(piece) for piece in pieces.ids] != asked
