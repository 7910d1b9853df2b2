"""Whether every thread still turns: what liveness rests on."""

from threading import Lock, current_thread
from time import monotonic


class Pulse:
    """The last beat of each thread, under the thread's name.

    A thread beats on every turn, also while it waits for work; a broker that is away must
    not look like a thread that hangs, or an outage becomes a storm of restarts.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: dict[str, float] = {}  # thread name -> seconds, monotonic

    def beat(self, name: str | None = None) -> None:
        """Say that the current thread turns, or the one for which a foreign thread works."""
        with self._lock:
            self._last[name or current_thread().name] = monotonic()

    def rest(self) -> None:
        """Say that the current thread has ended in good order."""
        with self._lock:
            self._last.pop(current_thread().name, None)

    def stuck(self, after_s: float) -> list[str]:
        """Return the names of threads that have not beaten for `after_s` seconds."""
        now = monotonic()
        with self._lock:
            return sorted(name for name, last in self._last.items() if now - last > after_s)
