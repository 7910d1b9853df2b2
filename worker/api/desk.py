"""Where requests wait for the device: one batch after another, across all of them.

Nothing waits in vain. How long the device takes for a byte of text is measured all the time; a
request that could not be answered before its deadline is turned away at the door, and one whose
deadline passes while it waits is never scored.

Nor does a short comment wait for long ones: it goes before them, for a while, and only so much
goes over the device at once as leaves the next ones a turn soon. Nor do the device's cores for
each other, where it can: the next batch is begun before one is done.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import accumulate, count
from math import inf
from threading import Condition, Thread
from time import monotonic
from typing import Final, NamedTuple

from schemas.comment import CommentEvent
from worker.api.errors import ApiError, the_server_stops
from worker.api.pace import Pace
from worker.api.rooms import Answer
from worker.begun import Begun
from worker.pulse import Pulse
from worker.settings import ApiSettings

TURN_S: Final = 1.0  # an idle thread still turns, and says so
LOOK_S: Final = 0.001  # between two looks at what is on the device, where nothing else waits
NO_ANSWERS: Final[Begun[list[Answer]]] = Begun(lambda: True, list)
LEARNED: Final = 0.05  # of the difference, when a request weighs more or less than is usual
SPARE: Final = 0.5  # of the deadline may be spent on waiting; the other half is for the work

# Comments of a site differ in length by a hundred times. These three were found by simulation of
# such lengths at half the capacity and over it, then measured (docs/api.md).
STRETCH: Final = 3.0  # as many times as long as a comment takes, shorter ones may go before it
SLICE_S: Final = 0.025  # of work that may go over the device at once, however little waits
SHARE: Final = 1 / 2  # of the work that waits, too: where much does, large batches pay


@dataclass(eq=False)
class Ask:
    """What one request wants to know, and by when.

    Attributes:
        comments: how many there are to judge.
        deadline: seconds, monotonic.
        is_patient: it has more time than others have, who need not wait for it.
        answered: the answers, set in `loop`.
        answers: those that are there; written by the desk's thread.
    """

    comments: int
    deadline: float
    is_patient: bool
    answered: "asyncio.Future[list[Answer]]"
    loop: asyncio.AbstractEventLoop
    answers: list[Answer] = field(default_factory=list)

    def is_due(self, now: float) -> bool:
        """Say whether anybody still waits for it."""
        return self.deadline > now and not self.answered.cancelled()


class Waiting(NamedTuple):
    """A comment that waits, in the order of its turn.

    Attributes:
        turn: seconds, monotonic; who came later than that does not go before it.
        number: of two with the same turn the first goes first.
        weight: about what it costs.
    """

    turn: float
    number: int
    weight: int
    comment: CommentEvent
    ask: Ask


class UnderWay(NamedTuple):
    """A batch on the device.

    Attributes:
        batch: all of it.
        due: those that somebody still waited for when it began.
        began: seconds, monotonic.
        answers: to those of `due`.
    """

    batch: Sequence[Waiting]
    due: Sequence[Waiting]
    began: float
    answers: Begun[list[Answer]]

    def is_due(self) -> bool:
        """Say whether to ask for the answers.

        They are there; or so late that the time limit must run, which is on who waits for them.
        """
        return self.answers.is_ready() or monotonic() - self.began > TURN_S


def turns(now: float, takes_s: Sequence[float], within_s: float) -> list[float]:
    """Return the turn of each comment of a request, in their order.

    The shortest goes first, and who waits gains on those that come: the order of turns is that of
    "what it takes less a share of what it waited", which does not change as time goes by. No turn
    is so late that the rest of the deadline is not left for the work.

    Args:
        now: seconds, monotonic.
        takes_s: seconds that each takes by itself.
        within_s: seconds that the request has.
    """
    return [now + min(STRETCH * so_far, SPARE * within_s) for so_far in accumulate(takes_s)]


class Desk:
    """A thread that judges what waits, and a bound on how much may.

    Args:
        rooms: begin to judge a batch; called from the desk's own thread only.
        pulse: beaten on every turn.
        settings: how long a request may take, and how many comments are judged at once.
        pace: says how long a text will take, and learns.
        failed: called when the rooms raise: the process must end.
        overlap: whether the next batch is begun before one is waited for, so that the device goes
            from one to the next, and none of its cores waits for the last one of a batch.
    """

    def __init__(  # noqa: PLR0913 - what it judges by, and how far it may go
        self,
        rooms: Callable[[Sequence[CommentEvent]], Begun[list[Answer]]],
        pulse: Pulse,
        settings: ApiSettings,
        pace: Pace,
        failed: Callable[[BaseException], None],
        *,
        overlap: bool,
    ) -> None:
        self._rooms = rooms
        self._pulse = pulse
        self._deadline_s = settings.deadline_s
        self._most_s = settings.deadline_s * SPARE  # that may be waited for
        self._batch = settings.batch
        self._pace = pace
        self._failed = failed
        self._most_behind = 1 if overlap else 0
        self._ended = 0.0  # the batch before, seconds, monotonic
        self._changed = Condition()
        self._waiting: list[Waiting] = []  # a heap
        self._numbers = count()
        self._weight = 0  # of all that waits or is on the device
        self._untold = 0  # of what is judged, too, and its client not yet told
        self._usual = 0.0  # of a request that is not patient
        self._expected = 0  # requests that were let in at this turn of the loop
        self._turned_away = False  # anybody, since the batch before was answered
        self._patient = 0  # comments that wait and are of patient requests
        self._closed = False
        self._thread = Thread(target=self._run, name="device", daemon=True)

    def open(self) -> None:
        """Begin to judge."""
        self._thread.start()

    def close(self) -> None:
        """Judge what waits, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    @property
    def waits_s(self) -> float:
        """How long a request that came now would wait, in seconds."""
        return self._pace.seconds(self._weight + self._untold)

    def has_time_for(self, texts: Sequence[str]) -> bool:
        """Say whether texts can be judged in the time that a request has for the work itself."""
        weight = sum(map(self._pace.weight, texts))
        return self._pace.seconds(weight) <= self._deadline_s * (1 - SPARE)

    @property
    def is_filling(self) -> bool:
        """Whether more waits than half of what may."""
        return self.waits_s > self._most_s / 2

    def refusal(self) -> ApiError | None:
        """Say why a request that came now would be turned away whatever its comment is.

        That is 429, more waits than can be judged in time; None: it would perhaps be judged.
        """
        return self._refusal(0.0)

    def let_in(self) -> ApiError | None:
        """Let a request in, or say why not, before anything is begun for it.

        Several come with one look at the sockets, and none of them waits here before it has had
        its turn: without a count of them, as many would be let in as come while there is room for
        one. Some never come to wait, for an error of theirs: so the count says nothing until half
        of what may wait does. Called in the loop.

        Returns:
            As `refusal`.
        """
        refused = self._refusal(self._expected * self._usual if self.is_filling else 0.0)
        if refused is None:
            self._expected += 1
            asyncio.get_running_loop().call_soon(self._expect_no_more)
        return refused

    def _expect_no_more(self) -> None:
        self._expected -= 1

    def _refusal(self, more: float) -> ApiError | None:
        with self._changed:
            wait_s = self.waits_s
            if not self._patient and wait_s + self._pace.seconds(more) > self._most_s:
                return self._full(wait_s)
        return None

    async def judge(
        self, comments: Sequence[CommentEvent], deadline_s: float | None = None
    ) -> list[Answer]:
        """Return an answer for each comment.

        Args:
            comments: of one request.
            deadline_s: another one than that of the settings.

        Raises:
            ApiError: 413, these comments alone take longer than a request may; 429, more waits
                than can be judged in time; 503, the time is over.
        """
        within_s = deadline_s or self._deadline_s
        loop = asyncio.get_running_loop()
        is_patient = within_s > self._deadline_s
        ask = Ask(len(comments), monotonic() + within_s, is_patient, loop.create_future(), loop)
        self._admit(ask, comments, within_s)
        try:
            async with asyncio.timeout(within_s):
                return await ask.answered
        except TimeoutError:
            raise ApiError(
                503, "The comment could not be judged in time.", retry_after_s=1
            ) from None

    def _admit(self, ask: Ask, comments: Sequence[CommentEvent], within_s: float) -> None:
        weights = [self._pace.weight(comment.text) for comment in comments]
        with self._changed:
            if self._closed:
                raise the_server_stops()
            each_s = [self._pace.seconds(weight) for weight in weights]
            takes_s = sum(each_s)
            if len(comments) > 1 and takes_s > within_s:
                raise ApiError(
                    413,
                    f"These comments take about {takes_s:.1f} s, a request has {within_s:g} s: "
                    "send fewer at once, or JSON Lines.",
                    "INVALID_REQUEST",
                )
            in_turn = turns(monotonic(), each_s, within_s)
            wait_s = self._wait_s(in_turn[-1])
            if wait_s > self._most_s or (wait_s and wait_s + takes_s > within_s):
                raise self._full(wait_s)
            self._weight += sum(weights)
            if not ask.is_patient:
                self._usual += LEARNED * (sum(weights) - self._usual)
            self._patient += ask.is_patient * len(comments)
            for turn, weight, comment in zip(in_turn, weights, comments, strict=True):
                heappush(self._waiting, Waiting(turn, next(self._numbers), weight, comment, ask))
            self._changed.notify_all()

    def _full(self, wait_s: float) -> ApiError:
        self._turned_away = True
        return ApiError(
            429,
            f"More comments wait than can be judged in {self._deadline_s:g} s.",
            retry_after_s=wait_s,
        )

    def _wait_s(self, turn: float) -> float:
        """Return how long a request will wait, in seconds, whose turn is then."""
        if not self._patient:
            return self.waits_s
        after = [each.weight for each in self._waiting if each.ask.is_patient and each.turn > turn]
        return self._pace.seconds(self._weight + self._untold - sum(after))

    # -- the desk's own thread

    def _run(self) -> None:
        try:
            under_way: deque[UnderWay] = deque()
            while (batch := self._next_batch(under_way)) or under_way:
                if batch:
                    under_way.append(self._begun(batch))
                if not batch or len(under_way) > self._most_behind:
                    self._answer(under_way.popleft())
        except BaseException as error:  # noqa: BLE001 - handed on: whatever it is, the process ends
            self._give_up(error)
        self._pulse.rest()

    def _next_batch(self, under_way: Sequence[UnderWay]) -> list[Waiting]:
        """Return what is judged next; nothing when a batch is ready, or all is done and closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._pulse.beat()
                if under_way and under_way[0].is_due():
                    break
                self._changed.wait(LOOK_S if under_way else TURN_S)
            self._pulse.beat()
            has_time = self._patient == len(self._waiting)  # all of it: nobody is held up
            left_s = inf if has_time else max(SLICE_S, SHARE * self._pace.seconds(self._weight))
            batch: list[Waiting] = []
            while self._waiting and len(batch) < self._batch:
                left_s -= self._pace.seconds(self._waiting[0].weight)
                if batch and left_s < 0:
                    break
                batch.append(heappop(self._waiting))
            self._patient -= sum(waiting.ask.is_patient for waiting in batch)
            return batch

    def _begun(self, batch: Sequence[Waiting]) -> UnderWay:
        began = monotonic()
        due = [waiting for waiting in batch if waiting.ask.is_due(began)]
        answers = self._rooms([waiting.comment for waiting in due]) if due else NO_ANSWERS
        return UnderWay(batch, due, began, answers)

    def _answer(self, one: UnderWay) -> None:
        answers = one.answers.result()
        before, self._ended = self._ended, monotonic()
        told = _given(one.due, answers)
        with self._changed:
            self._weight -= sum(waiting.weight for waiting in one.batch)
            self._untold += sum(weight for _, weight in told)
            together, self._turned_away = not self._turned_away, False
            if weight := sum(waiting.weight for waiting in one.due):
                self._pace.learn(weight, self._ended - max(before, one.began))
        if told:
            self._tell(told, together=together)

    def _tell(self, asks: deque[tuple[Ask, int]], *, together: bool) -> None:
        """Answer requests; while others are turned away, one at each turn of the loop.

        It looks at its sockets in between. Together, a batch is some milliseconds of answers, and
        as many again of the requests that there is room for then: who is turned away would wait
        for all of that. Where nobody is, what is answered together asks again together, which is
        a larger batch.

        Args:
            asks: and what there is room for when each is answered.
            together: all of them at this turn.
        """

        def tell() -> None:
            for _ in range(len(asks) if together else 1):
                ask, weight = asks.popleft()
                with self._changed:  # first: who is answered may ask again, and waits for nothing
                    self._untold -= weight
                if not ask.answered.done():
                    ask.answered.set_result(ask.answers)
            if asks:
                self._tell(asks, together=together)

        with suppress(RuntimeError):  # the loop is closed: the server's time to drain is over
            asks[0][0].loop.call_soon_threadsafe(tell)

    def _give_up(self, error: BaseException) -> None:
        with self._changed:
            self._closed = True
            self._waiting.clear()
        self._failed(error)


def _given(due: Sequence[Waiting], answers: Sequence[Answer]) -> deque[tuple[Ask, int]]:
    """Give requests their answers, and return those that have all of them.

    Each with the weight that stands in the batch up to its last comment.
    """
    complete: deque[tuple[Ask, int]] = deque()
    weight = 0
    for waiting, answer in zip(due, answers, strict=True):
        weight += waiting.weight
        waiting.ask.answers.append(answer)
        if len(waiting.ask.answers) == waiting.ask.comments:
            complete.append((waiting.ask, weight))
            weight = 0
    return complete
