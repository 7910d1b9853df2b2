"""What the threads of a worker share, and who writes and reads it."""

from dataclasses import dataclass, field
from threading import Event
from time import monotonic

from worker.claims import Claims
from worker.client_events import ClientEvents
from worker.committed import Committed
from worker.left_open import LeftOpen
from worker.metrics import Metrics
from worker.offsets import Offsets
from worker.pulse import Pulse
from worker.readiness import Readiness
from worker.settings import Settings


class Stop:
    """The wish to end, set once: by a signal handler, which must do no more than that."""

    def __init__(self, drain_s: float) -> None:
        self._drain_s = drain_s
        self._wished = Event()
        self._at = 0.0  # monotonic

    def set(self) -> None:
        """Wish for the end."""
        if not self._wished.is_set():
            self._at = monotonic()
            self._wished.set()

    def is_set(self) -> bool:
        """Say whether the end is wished for."""
        return self._wished.is_set()

    def set_for_s(self) -> float:
        """Return for how long the end has been wished for, in seconds."""
        return monotonic() - self._at if self._wished.is_set() else 0.0

    def overdue(self) -> bool:
        """Say whether the time to finish windows in flight is over."""
        return self.set_for_s() > self._drain_s


@dataclass(frozen=True)
class Shared:
    """Handed to every room.

    settings   nobody writes
    stop       written by the signal handler and a room that fails, read by intake and publish
    pulse      written by all, read by the health port
    claims     written by intake, read by device and publish
    metrics    written by publish and the Kafka clients' callbacks, read by the health port
    readiness  written by the same and intake, read by the health port
    events     called by the Kafka clients
    offsets    written by publish, taken by intake; used at least once only
    committed  written by publish, read by intake; used exactly once only
    left_open  asked for and answered by intake and publish; used exactly once only
    """

    settings: Settings
    stop: Stop
    claims: Claims = field(default_factory=Claims)
    pulse: Pulse = field(default_factory=Pulse)
    metrics: Metrics = field(default_factory=Metrics)
    readiness: Readiness = field(default_factory=Readiness)
    events: ClientEvents = field(init=False)
    offsets: Offsets = field(default_factory=Offsets)
    committed: Committed = field(default_factory=Committed)
    left_open: LeftOpen = field(default_factory=LeftOpen)

    def __post_init__(self) -> None:
        object.__setattr__(self, "events", ClientEvents(self.metrics, self.readiness))
