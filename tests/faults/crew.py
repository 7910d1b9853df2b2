"""The workers of a soak: one that is never killed, so that it shows what hours do, and others."""

from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from signal import SIGKILL, SIGTERM
from typing import Final, Self

from rig.stream import Worker

STEADY: Final = "0"  # the slot whose memory and threads are judged
END_S: Final = 60.0


class Crew:
    """A worker for each slot.

    Args:
        start: starts a slot's worker.
        number: of slots.

    Attributes:
        workers: by slot.
        ends: how workers ended, by status; those that nobody asked to end are named so.
    """

    def __init__(self, start: Callable[[str], Worker], number: int) -> None:
        self._start = start
        self.workers: dict[str, Worker] = {str(n): start(str(n)) for n in range(number)}
        self.ends: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Give the crew."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill whoever still runs."""
        for worker in self.workers.values():
            worker.__exit__()

    def pids(self) -> Mapping[str, int]:
        """Return the process of each slot."""
        return {slot: worker.process.pid for slot, worker in self.workers.items()}

    def any_mortal(self, random: Random) -> str:
        """Return a slot that may be killed."""
        return random.choice([slot for slot in self.workers if slot != STEADY])

    def replace(self, slot: str, number: int) -> int:
        """End a worker by a signal, start its successor, and return 1 if that is how it ended."""
        worker = self.workers[slot]
        worker.send(number)
        status = worker.ended(END_S)
        self.ends[f"{'killed' if number == SIGKILL else 'told to end'}: {status}"] += 1
        self.workers[slot] = self._start(slot)
        return int(status == (-SIGKILL if number == SIGKILL else 0))

    def replace_the_dead(self) -> None:
        """Start successors of those that ended by themselves, and remember how they ended."""
        for slot, worker in self.workers.items():
            status = worker.process.poll()
            if status is not None:
                reason = worker.said.partition("error: ")[2].partition("\n")[0]
                self.ends[f"by itself: {status}: {reason or 'no reason given'}"] += 1
                self.workers[slot] = self._start(slot)

    def stop(self) -> None:
        """Tell all to end."""
        for worker in self.workers.values():
            worker.send(SIGTERM)
        for worker in self.workers.values():
            self.ends[f"told to end: {worker.ended(END_S)}"] += 1
