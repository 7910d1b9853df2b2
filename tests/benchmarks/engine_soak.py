"""Hours of scoring by one engine: whether it hangs, grows, or says another thing than before.

python -m benchmarks.engine_soak --engine onnxruntime --hours 1

Windows of any size, of real comments in any order, scored in a thread of its own as a worker does.
Each probability is held against the first that its piece got; memory and threads are drawn. A
window that takes longer than a worker lets it ends the process.
"""

import argparse
import json
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any, Final

import numpy as np

from benchmarks.machine import machine
from benchmarks.texts import real_texts
from faults.vitals import Sampling, Vitals
from schemas.verdict import BORDERLINE
from worker import logs
from worker.bundle import open_bundle
from worker.pulse import Pulse
from worker.run import tokeniser
from worker.scoring.load import load_scorer
from worker.scoring.scorer import Scorer
from worker.scoring.time_limit import time_limit
from worker.settings import EngineChoice, LogSettings, ScoringSettings, Settings

COMMENTS: Final = 5_000
MOST: Final = 500  # comments in a window
FEW: Final = 4
SLOT: Final = "engine"
PROGRESS_S: Final = 60


class Soak:
    """Scores window after window, and remembers what each piece got first."""

    def __init__(
        self, scorer: Scorer, pieces: Sequence[Sequence[int]], seed: int, limit_s: float
    ) -> None:
        self._scorer = scorer
        self._limit_s = limit_s
        self._pieces = pieces
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._first = scorer.probabilities(pieces)
        self.windows = 0
        self.scored = 0
        self.farthest = 0.0
        self.slowest_s = 0.0

    def until(self, end: float) -> None:
        """Score until then (monotonic)."""
        told = monotonic()
        while (began := monotonic()) < end:
            # Every other window is small: a micro-batch that is alone may be computed otherwise.
            most = FEW if self.windows % 2 else MOST
            places = self._random.sample(range(len(self._pieces)), self._random.randint(1, most))
            with time_limit(self._limit_s):
                found = self._scorer.probabilities([self._pieces[place] for place in places])
            self.windows += 1
            self.scored += len(places)
            self.slowest_s = max(self.slowest_s, monotonic() - began)
            apart = np.abs(found - self._first[places]).max()
            self.farthest = float(np.maximum(self.farthest, apart))  # NaN stays NaN
            if began - told > PROGRESS_S:
                told = began
                left = (end - began) / 60
                print(f"{self.scored:,} pieces, {left:.0f} min left", file=sys.stderr, flush=True)


def soak(options: argparse.Namespace) -> dict[str, Any]:
    """Run it, and say what was seen."""
    where = machine()  # as it is when the code is read, not hours later
    settings = Settings(scoring=ScoringSettings(engine=EngineChoice(options.engine)))
    bundle = open_bundle(settings.bundle, allow_unsigned=False)
    tokenise = tokeniser(bundle, settings)
    scorer = load_scorer(bundle, settings.scoring, tokenise, Pulse())
    source, texts = real_texts(COMMENTS)
    pieces = [piece for found in tokenise(texts) for piece in found.ids]
    run = Soak(scorer, pieces, options.seed, settings.scoring.time_limit_s)
    vitals = Vitals()
    end = monotonic() + options.hours * 3600
    scoring = Thread(target=run.until, args=(end,), name="device")
    with Sampling(vitals, lambda: {SLOT: os.getpid()}):
        scoring.start()
        scoring.join()
    vitals.draw(
        options.picture, f"{options.engine}: {run.scored:,} pieces in {run.windows:,} windows"
    )
    return {
        "machine": where,
        "engine": options.engine,
        "bundle": f"{bundle.manifest.name}/{bundle.manifest.version}",
        "comments": source,
        "seed": options.seed,
        "hours": options.hours,
        "windows": run.windows,
        "pieces": run.scored,
        "slowest_window_s": round(run.slowest_s, 2),
        "farthest_from_the_first": run.farthest,
        "rss_slope_mb_per_hour": round(vitals.slope_mb_per_hour(SLOT), 2),
        "rss_peak_mb": round(max(sample.megabytes for sample in vitals.samples[SLOT])),
        "threads": vitals.threads(SLOT),
        "ended": end <= monotonic(),  # False: the thread died before
    }


def main(arguments: Sequence[str]) -> int:
    """Run a soak, print what was seen, and fail on a difference or a thread that died."""
    parser = argparse.ArgumentParser(prog="benchmarks.engine_soak", description=__doc__)
    parser.add_argument("--engine", choices=list(EngineChoice), default=EngineChoice.AUTO)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, default=Path("engine-soak.png"))
    found = soak(parser.parse_args(arguments))
    print(json.dumps(found, indent=2))
    return 0 if found["ended"] and found["farthest_from_the_first"] < BORDERLINE else 1


if __name__ == "__main__":
    logs.configure(LogSettings())
    sys.exit(main(sys.argv[1:]))
