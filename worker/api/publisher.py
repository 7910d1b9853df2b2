"""What the API tells the stream: verdicts, flags and feedback, in transactions that requests share.

Before the answer: a request is answered once what it made is committed, so that 200 means: it is
there, once. What cannot be committed in time is answered 503, and dropped if no transaction has
begun with it; the client's next try is a comment of its own. There are no offsets to commit and
nothing to read again: a request is in the client's hands until it is answered.

After the answer: what requests made is kept in memory until it is committed, so much of it and no
more. A server that is killed loses what it keeps.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition, Thread
from time import monotonic
from typing import Final

import structlog

from worker.api.errors import ApiError
from worker.api.figures import Figures
from worker.shared import Shared
from worker.transactions import AbortedError, Transactions
from worker.window import Outgoing

log = structlog.get_logger()

TURN_S: Final = 1.0  # an idle thread still turns, and serves the client
MOST_PARCELS: Final = 1_000  # of a transaction
MOST_KEPT: Final = 50_000  # answered requests whose messages are not committed yet; 1 to 2 KB each


@dataclass(eq=False)
class Parcel:
    """What one request wants published, all of it or nothing."""

    messages: Sequence[Outgoing]

    def is_due(self) -> bool:
        """Say whether it is to be published still."""
        return True

    def tell(self, failure: ApiError | None = None) -> None:
        """Say that it is published, or why it is not."""


@dataclass(eq=False)
class Awaited(Parcel):
    """One whose request waits for it."""

    published: "asyncio.Future[None]"
    loop: asyncio.AbstractEventLoop

    def is_due(self) -> bool:
        """Say whether the request still waits: else it was answered 503."""
        return not self.published.cancelled()

    def tell(self, failure: ApiError | None = None) -> None:
        """Let the request go on, or fail."""

        def tell() -> None:
            if self.published.done():
                return
            if failure:
                self.published.set_exception(failure)
            else:
                self.published.set_result(None)

        if self.is_due():  # else its loop may have ended, too
            self.loop.call_soon_threadsafe(tell)


class Publisher:
    """A thread that commits what waits, one transaction after another.

    Args:
        transactions: open; used in this thread only from now on.
        shared: its pulse is beaten; it is not ready while nothing can be committed.
        figures: counted here.
        failed: called when the cluster refuses us for good: the process must end.
    """

    def __init__(
        self,
        transactions: Transactions,
        shared: Shared,
        figures: Figures,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._transactions = transactions
        self._pulse = shared.pulse
        self._readiness = shared.readiness
        self._patience_s = shared.settings.api.deadline_s  # what takes longer is in trouble
        self._answers_first = shared.settings.api.publish == "after-answer"
        self._figures = figures
        self._failed = failed
        self._changed = Condition()
        self._waiting: deque[Parcel] = deque()
        self._at_hand: Sequence[Parcel] = ()
        self._began = 0.0  # monotonic; of the transaction at hand
        self._closed = False
        self._thread = Thread(target=self._run, name="publish", daemon=True)

    def open(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def troubles(self) -> list[str]:
        """Return why requests that publish would be refused now."""
        if not self._answers_first:
            return self._readiness.troubles()
        with self._changed:
            kept = len(self._waiting)
        full = f"{kept:,} requests were answered and are not published: the cluster is away"
        return [full] if kept >= MOST_KEPT else []

    def close(self) -> None:
        """Publish what is still awaited, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def admit(self) -> None:
        """Refuse a request before it is scored, if its verdict would not be published in time.

        Raises:
            ApiError: 503, the cluster is away, or the server stops.
        """
        with self._changed:
            is_late = self._at_hand and monotonic() - self._began > self._patience_s
            if self._closed:
                raise _stopping()
            is_full = len(self._waiting) >= MOST_KEPT
        if is_full or (is_late and not self._answers_first):
            raise _away()

    async def publish(self, messages: Sequence[Outgoing], within_s: float) -> None:
        """Return when the messages are committed, all in one transaction, or kept for later.

        Raises:
            ApiError: 503, not in time, or the server stops; 500, the broker refuses one of them
                for what it is.
        """
        if self._answers_first:
            self._add(Parcel(messages))
            return
        loop = asyncio.get_running_loop()
        parcel = Awaited(messages, loop.create_future(), loop)
        self._add(parcel)
        try:
            async with asyncio.timeout(within_s):
                await parcel.published
        except TimeoutError:
            raise _away() from None

    def _add(self, parcel: Parcel) -> None:
        with self._changed:
            if self._closed:
                raise _stopping()
            self._waiting.append(parcel)
            self._changed.notify_all()

    # -- the publisher's own thread

    def _run(self) -> None:
        try:
            while parcels := self._next():
                self._publish(parcels)
                with self._changed:
                    self._at_hand = ()
        except BaseException as error:  # noqa: BLE001 - handed on: whatever it is, the process ends
            self._give_up(error)
        self._transactions.close()
        self._pulse.rest()

    def _next(self) -> Sequence[Parcel]:
        """Return what is published next; nothing when all is done and closed."""
        while True:
            self._pulse.beat()
            self._transactions.idle()
            with self._changed:
                if self._waiting:
                    self._began = monotonic()
                    most = min(len(self._waiting), MOST_PARCELS)
                    self._at_hand = [self._waiting.popleft() for _ in range(most)]
                    return self._at_hand
                if self._closed:
                    return ()
                self._changed.wait(TURN_S)

    def _publish(self, parcels: Sequence[Parcel]) -> None:
        """Publish again until it is committed, without what was given up or refused meanwhile."""
        alone: set[Parcel] = set()
        while parcels := [parcel for parcel in parcels if parcel.is_due()]:
            self._transactions.recover()
            aborted = self._once(parcels, alone)
            if aborted is None:
                return
            owners = [parcel for parcel in parcels for _ in parcel.messages]
            alone |= {owners[place] for place in aborted.suspects}
            refused = {owners[place]: code for place, code in aborted.culprits.items()}
            for parcel, code in refused.items():
                log.warning("refused by the broker", code=code, topic=parcel.messages[0].topic)
                parcel.tell(ApiError(500, f"The broker refuses the record: {code}"))
            parcels = [parcel for parcel in parcels if parcel not in refused]
        # Nobody waits any more. Ready means that the next one would not wait in vain.
        self._transactions.recover()
        self._readiness.clear("transaction")

    def _once(self, parcels: Sequence[Parcel], alone: set[Parcel]) -> AbortedError | None:
        """Try once; return why it must be tried again."""
        began = monotonic()
        messages = [message for parcel in parcels for message in parcel.messages]
        owners = (parcel for parcel in parcels for _ in parcel.messages)
        places = [place for place, parcel in enumerate(owners) if parcel in alone]
        try:
            self._transactions.send(messages, [], None, places)
            self._transactions.commit()
        except AbortedError as aborted:
            # Its traceback would keep the old producer alive while the new one is built.
            return aborted.with_traceback(None)
        for parcel in parcels:
            parcel.tell()
        self._figures.published.inc(len(messages))
        self._figures.publish_seconds.observe(monotonic() - began)
        return None

    def _give_up(self, error: BaseException) -> None:
        with self._changed:
            self._closed = True
            waiting = [*self._at_hand, *self._waiting]
            self._waiting.clear()
        for parcel in waiting:
            parcel.tell(_stopping())
        if self._answers_first and waiting:
            log.error("answered and not published", requests=len(waiting))
        self._failed(error)


def _away() -> ApiError:
    return ApiError(503, "The verdict could not be published in time.", retry_after_s=1)


def _stopping() -> ApiError:
    return ApiError(503, "The server is stopping.", retry_after_s=1)
