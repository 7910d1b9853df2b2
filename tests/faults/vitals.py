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
SETTLED: Final = 0.25  # of the run; what a process takes until then is its start


class Sample(NamedTuple):
    """One look at a worker."""

    hours: float
    megabytes: float
    threads: int


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
                megabytes = process.memory_info().rss / 2**20
                self.samples[slot].append(Sample(self.hours, megabytes, process.num_threads()))

    def settled(self, slot: str) -> list[Sample]:
        """Return a slot's samples after the first quarter."""
        begin = SETTLED * self.hours
        return [sample for sample in self.samples[slot] if sample.hours >= begin]

    def slope_mb_per_hour(self, slot: str) -> float:
        """Return the slope of a straight line through a slot's memory."""
        settled = self.settled(slot)
        hours, megabytes, _ = np.array(settled).T
        return float(np.polyfit(hours, megabytes, 1)[0])

    def threads(self, slot: str) -> tuple[int, int]:
        """Return the fewest and the most threads of a slot."""
        found = [sample.threads for sample in self.settled(slot)]
        return min(found), max(found)

    def draw(self, file: Path, title: str) -> None:
        """Draw memory and threads over time, with a line for each fault."""
        from matplotlib.figure import Figure  # noqa: PLC0415 - it is in the full install only

        figure = Figure(figsize=(12, 7), layout="constrained")
        memory, threads = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        for slot, samples in sorted(self.samples.items()):
            hours, megabytes, number = np.array(samples).T
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
