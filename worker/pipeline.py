"""The worker on one page: intake -> prepare -> score -> judge -> publish.

Three threads, joined by queues of one: while window k is on the device, k+1 is being
fetched and tokenised, and k-1 is being committed.

    thread    room      is given              makes
    intake    intake    messages              Fetched: records and the claim to them
              prepare   Fetched               Prepared: comments cut into pieces of tokens
    device    score     Prepared              Scored: a probability for each label
              judge     Scored                Judged: verdicts, flags, dead letters
    main      publish   Judged                a transaction that carries the offsets, too
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Event

from worker.ahead import ahead
from worker.boarding import boarded
from worker.intake import Intake
from worker.publish import Publish
from worker.shared import Shared
from worker.window import Fetched, Judged, Prepared, Scored


@dataclass(frozen=True, slots=True)
class Rooms:
    """The rooms that a comment passes, each once, in this order."""

    intake: Intake
    prepare: Callable[[Fetched], Prepared]
    score: Callable[[Prepared], Scored]
    judge: Callable[[Scored], Judged]
    publish: Publish


def run(rooms: Rooms, shared: Shared) -> None:
    """Judge windows of comments until the stop is set, then finish those in flight.

    Raises:
        Exception: what any room raised, after the windows before it are committed;
            nothing of its own window or of a later one is.
    """
    abandon = Event()
    intake, publish = rooms.intake, rooms.publish
    fetched = map(rooms.prepare, intake.windows(shared.stop))
    from_intake = partial(ahead, while_full=intake.stay_in_group, afterwards=intake.drain)
    from_device = partial(ahead, while_empty=publish.idle)
    try:
        with from_intake(fetched, "intake", abandon, shared.pulse) as prepared:
            judged = map(rooms.judge, map(rooms.score, boarded(prepared, shared.claims)))
            with from_device(judged, "device", abandon, shared.pulse) as windows:
                try:
                    for window in windows:
                        publish(window)  # verdicts, flags, dead letters and offsets at once
                    if not shared.stop.is_set():  # a room ended the stream: never in silence
                        raise RuntimeError("the windows ended, and nobody asked for it")
                finally:
                    shared.stop.set()
                    abandon.set()
                    shared.claims.abandon()
    finally:
        intake.close()  # all is published, or given up: a successor may have the rest
        publish.close()
