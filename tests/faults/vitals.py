"""Memory and threads of workers over hours: sampled, judged by their slope, drawn."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Final, NamedTuple

import numpy as np
import psutil

SAMPLE_S: Final = 2.0
SETTLED: Final = 0.25  # of a process's life; what it takes until then is its start


class Sample(NamedTuple):
    """One look at a worker."""

    hours: float
    megabytes: float
    threads: int
    pid: int


class Fault(NamedTuple):
    """What befell, and when."""

    hours: float
    name: str


@dataclass
class Vitals:
    """What is seen of each slot's worker, and what befell meanwhile.

    Written by the sampling thread (`samples`) and by the driver (`faults`).
    """

    started: float = field(default_factory=monotonic)
    samples: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    faults: list[Fault] = field(default_factory=list)

    @property
    def hours(self) -> float:
        """Since the start."""
        return (monotonic() - self.started) / 3600

    def befell(self, name: str) -> None:
        """Note a fault."""
        self.faults.append(Fault(self.hours, name))

    def look(self, pids: Mapping[str, int]) -> None:
        """Take a sample of each slot's process that is there."""
        for slot, pid in pids.items():
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                if process.status() == psutil.STATUS_ZOMBIE:  # it has no memory left
                    continue
                megabytes = process.memory_info().rss / 2**20
                sample = Sample(self.hours, megabytes, process.num_threads(), pid)
                self.samples[slot].append(sample)

    def longest_life(self, slot: str) -> list[Sample]:
        """Return the samples of the process that had a slot for the longest time."""
        lives: dict[int, list[Sample]] = defaultdict(list)
        for sample in self.samples[slot]:
            lives[sample.pid].append(sample)
        return max(lives.values(), key=_hours)

    def settled(self, slot: str) -> list[Sample]:
        """Return the samples of that process after the first quarter of its life."""
        life = self.longest_life(slot)
        begin = life[0].hours + SETTLED * _hours(life)
        return [sample for sample in life if sample.hours >= begin]

    def slope_mb_per_hour(self, slot: str) -> float:
        """Return the slope of a straight line through the memory of that process."""
        settled = self.settled(slot)
        hours = [sample.hours for sample in settled]
        return float(np.polyfit(hours, [sample.megabytes for sample in settled], 1)[0])

    def hours_judged(self, slot: str) -> float:
        """Return how long that process lived."""
        return _hours(self.longest_life(slot))

    def threads(self, slot: str) -> tuple[int, int]:
        """Return the fewest and the most threads of that process."""
        found = [sample.threads for sample in self.settled(slot)]
        return min(found), max(found)

    def draw(self, file: Path, title: str) -> None:
        """Draw memory and threads over time, with a line for each fault."""
        from matplotlib.figure import Figure  # noqa: PLC0415 - it is in the full install only

        figure = Figure(figsize=(12, 7), layout="constrained")
        memory, threads = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        for slot, samples in sorted(self.samples.items()):
            hours, megabytes, number, _ = np.array(samples).T
            memory.plot(hours, megabytes, linewidth=1, label=f"worker {slot}")
            threads.plot(hours, number, linewidth=1)
        for number_, name in enumerate(sorted({fault.name for fault in self.faults})):
            at = [fault.hours for fault in self.faults if fault.name == name]
            memory.eventplot(
                at,
                lineoffsets=0.02 + 0.025 * number_,
                linelengths=0.02,
                colors=f"C{number_}",
                label=f"{name} ({len(at)})",
                transform=memory.get_xaxis_transform(),
            )
        memory.set(ylabel="resident memory, MB", title=title)
        memory.legend(loc="upper left", fontsize="small", ncols=3)
        threads.set(ylabel="threads", xlabel="hours")
        figure.savefig(file, dpi=100)


class Sampling:
    """Looks every SAMPLE_S seconds, in a thread of its own, while the block lasts."""

    def __init__(self, vitals: Vitals, pids: Callable[[], Mapping[str, int]]) -> None:
        self._vitals = vitals
        self._pids = pids
        self._enough = Event()
        self._thread = Thread(target=self._look, name="vitals")

    def __enter__(self) -> None:
        """Begin."""
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        """End."""
        self._enough.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._enough.wait(SAMPLE_S):
            self._vitals.look(self._pids())


def _hours(life: list[Sample]) -> float:
    return life[-1].hours - life[0].hours
