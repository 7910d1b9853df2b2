"""The desk: batches across requests, a bound on what waits, deadlines that are kept."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.comment import CommentEvent
from schemas.errors import ScoringError
from worker.api.desk import SLICE_S, SPARE, STRETCH, Desk, turns
from worker.api.errors import ApiError
from worker.api.pace import Pace
from worker.api.rooms import Answer
from worker.begun import Begun
from worker.pulse import Pulse
from worker.settings import ApiSettings

FAST = 1e-9  # seconds a byte: nothing that waits is too much
TOKENS = 1_024  # of a comment at most
X = Pace(TOKENS, 0).weight("x")


def comments(*texts: str) -> list[CommentEvent]:
    """Return comments with these texts."""
    return [CommentEvent(id="-", text=text) for text in texts]


class Rooms:
    """Answers with each text as a label, once it may; remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may = Event()
        self.may.set()
        self.entered = Event()
        self.gates: dict[str, Event] = {}  # by the first text of the batch that waits for it
        self.fails = False

    def __call__(self, batch: Sequence[CommentEvent]) -> Begun[list[Answer]]:
        """Begin to judge."""
        self.batches.append([comment.text for comment in batch])
        self.entered.set()
        return Begun(self.may.is_set, lambda: self.judged(batch))

    def judged(self, batch: Sequence[CommentEvent]) -> list[Answer]:
        """Answer."""
        self.gates.get(batch[0].text, self.may).wait(30)
        if self.fails:
            raise ScoringError("the device is gone")
        return [
            Answer((0.5,), [comment.text], "allow", truncated=False, pieces=1) for comment in batch
        ]


@contextmanager
def desk_of(
    rooms: Rooms,
    deadline_s: float = 20,
    batch: int = 4,
    pace: float = FAST,
    *,
    overlap: bool = False,
) -> Iterator[tuple[Desk, list[BaseException]]]:
    """Run a desk while the block lasts, and give what it failed with."""
    failures: list[BaseException] = []
    settings = ApiSettings(deadline_s=deadline_s, batch=batch)
    desk = Desk(rooms, Pulse(), settings, Pace(TOKENS, pace), failures.append, overlap=overlap)
    desk.open()
    try:
        yield desk, failures
    finally:
        rooms.may.set()
        desk.close()


async def until(what: Callable[[], bool]) -> None:
    """Let others turn until something is so."""
    async with asyncio.timeout(20):
        while not what():  # noqa: ASYNC110 - it is no event of this loop that is waited for
            await asyncio.sleep(0)


async def behind_the_first(desk: Desk, rooms: Rooms, requests: Sequence[Sequence[str]]) -> None:
    """Have requests wait until all are there, while the device works at a first one."""
    rooms.may.clear()
    first = asyncio.create_task(desk.judge(comments("first")))
    await until(rooms.entered.is_set)
    others = [asyncio.create_task(desk.judge(comments(*texts))) for texts in requests]
    await until(lambda: len(desk._waiting) == sum(map(len, requests)))  # noqa: SLF001
    rooms.may.set()
    await asyncio.gather(first, *others)


def texts_of(answers: Sequence[Answer]) -> list[str]:
    """Return the texts that were answered for."""
    return [answer.labels[0] for answer in answers]


def test_each_request_gets_its_own_answers_in_its_order() -> None:
    """Whatever shares a batch with it."""
    rooms = Rooms()

    async def ask(desk: Desk) -> list[list[Answer]]:
        asked: list[Awaitable[list[Answer]]] = [
            desk.judge(comments(*(f"{number}.{n}" for n in range(1 + number % 3))))
            for number in range(30)
        ]
        return await asyncio.gather(*asked)

    with desk_of(rooms) as (desk, _):
        answered = asyncio.run(ask(desk))

    for number, answers in enumerate(answered):
        assert texts_of(answers) == [f"{number}.{n}" for n in range(1 + number % 3)]


def test_who_is_answered_waits_no_longer() -> None:
    """A client that asks again at once would be refused for its own comment of before."""

    async def waits_s(desk: Desk) -> float:
        await desk.judge(comments("one"))
        return desk.waits_s

    with desk_of(Rooms(), pace=0.01) as (desk, _):
        assert asyncio.run(waits_s(desk)) == 0


@pytest.mark.parametrize("is_full", [False, True])
def test_while_others_are_turned_away_one_request_is_answered_at_each_turn_of_the_loop(
    is_full: bool,  # noqa: FBT001 - a case
) -> None:
    """Else all that there is room for then comes at once, and who is refused waits behind it."""
    rooms, turn = Rooms(), 0
    rooms.may.clear()
    rooms.gates = {"a": Event(), "e": Event()}

    async def turning() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def answered(desk: Desk, text: str) -> tuple[int, float]:
        await desk.judge(comments(text))
        return turn, desk.waits_s

    async def ask(desk: Desk) -> list[tuple[int, float]]:
        clock = asyncio.create_task(turning())
        first = asyncio.create_task(desk.judge(comments("first")))
        await until(rooms.entered.is_set)
        asked = [asyncio.create_task(answered(desk, text)) for text in "abcdefgh"]
        await until(lambda: len(desk._waiting) == len(asked))  # noqa: SLF001
        rooms.may.set()
        await first
        await until(lambda: len(rooms.batches) == 2)
        asked += [asyncio.create_task(answered(desk, text)) for text in ("ijk" if is_full else "")]
        await until(lambda: len(desk._waiting) == len(asked) - 4)  # noqa: SLF001
        assert (desk.refusal() is not None) == is_full
        rooms.gates["a"].set()
        found = await asyncio.gather(*asked[:4])
        rooms.gates["e"].set()
        await asyncio.gather(*asked)
        clock.cancel()
        return found

    with desk_of(rooms, pace=1 / X) as (desk, _):  # a second each; 10 s may be waited for
        desk._pace.learn = lambda *_: None  # type: ignore[method-assign]  # noqa: SLF001
        told = asyncio.run(ask(desk))

    assert rooms.batches[:2] == [["first"], ["a", "b", "c", "d"]]
    turns_of, waits_s = zip(*told, strict=True)
    assert len(set(turns_of)) == (4 if is_full else 1)
    assert waits_s == pytest.approx((10, 9, 8, 7) if is_full else (4, 4, 4, 4))


def test_what_waits_while_the_device_works_is_one_batch() -> None:
    """Up to its bound, and a request that is larger goes in parts."""
    rooms = Rooms()

    with desk_of(rooms, batch=4) as (desk, _):
        asyncio.run(behind_the_first(desk, rooms, ["ab", "c", "de", "fghij", "k"]))

    assert rooms.batches == [["first"], list("abcd"), list("efgh"), list("ijk")]


def test_where_the_device_can_one_more_batch_is_begun_before_the_first_is_answered() -> None:
    """As soon as it is there. Not all: who comes later can still go before the rest."""
    rooms = Rooms()
    rooms.may.clear()

    async def ask(desk: Desk) -> list[list[Answer]]:
        asked = []
        for number, text in enumerate(["first", "second"], 1):
            asked.append(asyncio.create_task(desk.judge(comments(text))))
            await until(lambda: len(rooms.batches) == number)  # noqa: B023 - waited for here
        asked += [asyncio.create_task(desk.judge(comments(text))) for text in "abcdef"]
        await until(lambda: len(desk._waiting) == len("abcdef"))  # noqa: SLF001
        rooms.may.set()
        return await asyncio.gather(*asked)

    with desk_of(rooms, batch=4, overlap=True) as (desk, _):
        answered = asyncio.run(ask(desk))

    assert [texts_of(answers) for answers in answered] == [
        ["first"],
        ["second"],
        *map(list, "abcdef"),
    ]
    assert rooms.batches == [["first"], ["second"], list("abcd"), list("ef")]


def test_a_device_that_is_never_ready_is_waited_for_all_the_same() -> None:
    """Only there a time limit runs, which ends a process whose engine hangs."""

    class NeverReady(Rooms):
        def __call__(self, batch: Sequence[CommentEvent]) -> Begun[list[Answer]]:
            return Begun(lambda: False, super().__call__(batch).result)

    async def ask(desk: Desk) -> list[Answer]:
        return await desk.judge(comments("x"))

    with desk_of(NeverReady(), overlap=True) as (desk, _):
        assert texts_of(asyncio.run(ask(desk))) == ["x"]


def test_a_short_comment_goes_before_long_ones_that_came_before_it() -> None:
    """Those after each other, as they came."""
    rooms = Rooms()
    long = "x" * 1_000
    requests = [[f"1 {long}"], [f"2 {long}"], ["short"], [f"3 {long}"]]

    with desk_of(rooms, pace=0.1 / X) as (desk, _):
        asyncio.run(behind_the_first(desk, rooms, requests))

    order = [text.split()[0] for batch in rooms.batches for text in batch]
    assert order == ["first", "short", "1", "2", "3"]


def test_a_short_comment_does_not_wait_for_the_whole_of_a_large_request() -> None:
    """It goes between two of its parts."""
    rooms = Rooms()
    rooms.may.clear()

    async def ask(desk: Desk) -> None:
        large = asyncio.create_task(desk.judge(comments(*(["large"] * 20))))
        await until(rooms.entered.is_set)
        small = asyncio.create_task(desk.judge(comments("small")))
        await until(lambda: any(each.comment.text == "small" for each in desk._waiting))  # noqa: SLF001
        rooms.may.set()
        await asyncio.gather(large, small)

    with desk_of(rooms, batch=100, pace=0.2 / X) as (desk, _):
        asyncio.run(ask(desk))

    assert "small" in rooms.batches[1]
    assert sum(batch.count("large") for batch in rooms.batches[2:]) > 0


def test_of_what_waits_half_goes_over_the_device_at_once() -> None:
    """So that who comes then has a turn soon; but a slice of time is always filled."""
    rooms = Rooms()

    slow = SLICE_S / 2.5  # seconds a comment: two fill a slice
    with desk_of(rooms, batch=100, pace=slow / X) as (desk, _):
        desk._pace.learn = lambda *_: None  # type: ignore[method-assign]  # noqa: SLF001
        asyncio.run(behind_the_first(desk, rooms, ["x"] * 25))

    assert [len(batch) for batch in rooms.batches[1:]] == [12, 6, 3, 2, 2]


@given(
    earlier=st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=20),
    later=st.floats(1e-6, 1.0),
    after_s=st.floats(0, 1.0),
    within_s=st.floats(0.01, 60),
)
def test_no_comment_is_overtaken_for_longer_than_its_length_or_half_its_deadline(
    earlier: list[float], later: float, after_s: float, within_s: float
) -> None:
    """The comments of a request keep their order, and one of equal length never overtakes."""
    first = turns(0.0, earlier, within_s)
    (second,) = turns(after_s, [later], within_s)

    assert first == sorted(first)
    assert first[-1] <= min(STRETCH * sum(earlier) * (1 + 1e-9), SPARE * within_s)
    if second < first[0]:
        assert later < earlier[0]
        assert after_s < STRETCH * earlier[0]


def test_more_than_can_be_judged_in_time_is_refused_at_once_with_the_time_to_wait() -> None:
    """429, and what was accepted is answered."""
    rooms = Rooms()
    rooms.may.clear()
    pace = 10 / X  # ten seconds a comment; half of 20 s may be waited for

    async def ask(desk: Desk) -> None:
        first = asyncio.create_task(desk.judge(comments("x")))
        await until(rooms.entered.is_set)
        second = asyncio.create_task(desk.judge(comments("x")))
        await until(lambda: desk.waits_s > 19)
        start = monotonic()
        with pytest.raises(ApiError) as refused:
            await desk.judge(comments("x"))
        assert monotonic() - start < 1
        assert refused.value.code == 429
        assert refused.value.retry_after_s == pytest.approx(20)
        assert "More comments wait" in str(desk.refusal())
        rooms.may.set()
        await asyncio.gather(first, second)
        await until(lambda: desk.waits_s == 0)
        assert desk.refusal() is None
        await desk.judge(comments("x"))

    with desk_of(rooms, pace=pace) as (desk, _):
        asyncio.run(ask(desk))


def test_no_more_requests_are_let_in_at_one_turn_than_there_is_room_for() -> None:
    """They come with one look at the sockets, before any of them waits."""

    async def let_in(desk: Desk) -> list[list[bool]]:
        for _ in range(200):  # so that it knows what requests weigh
            await desk.judge(comments("x"))
        found = [[desk.let_in() is None for _ in range(9)]]
        await asyncio.sleep(0)
        rooms.may.clear()
        two = [asyncio.create_task(desk.judge(comments("x"))) for _ in range(2)]
        await until(lambda: desk.waits_s > 5)
        for _ in range(2):
            found.append([desk.let_in() is None for _ in range(4)])
            await asyncio.sleep(0)
        rooms.may.set()
        await asyncio.gather(*two)
        return found

    rooms = Rooms()
    with desk_of(rooms, pace=3 / X) as (desk, _):  # three seconds each; 10 s may be waited for
        desk._pace.learn = lambda *_: None  # type: ignore[method-assign]  # noqa: SLF001
        idle, *filling = asyncio.run(let_in(desk))

    assert idle == [True] * 9  # they may all be refused for another reason
    assert filling == [[True, True, False, False]] * 2


def test_only_requests_without_time_say_what_is_usual() -> None:
    """After lines with long comments an idle desk would refuse short ones that come together."""

    async def ask(desk: Desk) -> None:
        await desk.judge(comments("x" * 4_000), deadline_s=99)

    with desk_of(Rooms()) as (desk, _):
        asyncio.run(ask(desk))
        assert desk._usual == 0  # noqa: SLF001


def test_whoever_has_time_turns_nobody_away_who_has_none() -> None:
    """A backlog that is sent as JSON Lines leaves the site's own comments their turn."""
    rooms = Rooms()
    rooms.may.clear()
    pace = 1 / X  # a second a comment; half of 20 s may be waited for

    async def ask(desk: Desk) -> None:
        backlog = asyncio.create_task(desk.judge(comments(*("x" * 30)), deadline_s=600))
        await until(rooms.entered.is_set)
        assert desk.waits_s > 25
        with pytest.raises(ApiError) as refused:
            await desk.judge(comments(*("y" * 30)), deadline_s=600)
        assert refused.value.code == 429
        live = asyncio.create_task(desk.judge(comments("live")))
        await until(lambda: any(each.comment.text == "live" for each in desk._waiting))  # noqa: SLF001
        rooms.may.set()
        await asyncio.gather(backlog, live)
        assert desk._patient == 0  # noqa: SLF001

    with desk_of(rooms, batch=4, pace=pace) as (desk, _):
        asyncio.run(ask(desk))

    assert rooms.batches[1][0] == "live"


def test_where_all_that_waits_has_time_it_goes_in_whole_batches() -> None:
    """Small ones are slower, and there is nobody for whom they would be."""
    rooms = Rooms()

    with desk_of(rooms, batch=8, pace=1 / X) as (desk, _):
        asyncio.run(desk.judge(comments(*("x" * 20)), deadline_s=600))

    assert [len(batch) for batch in rooms.batches] == [8, 8, 4]


def test_past_its_deadline_a_request_is_told_so_and_is_not_scored() -> None:
    """503: it never hangs, and the device does nothing for nobody."""
    rooms = Rooms()
    rooms.may.clear()

    async def ask(desk: Desk) -> None:
        first = asyncio.create_task(desk.judge(comments("first")))
        await until(rooms.entered.is_set)
        with pytest.raises(ApiError) as late:
            await desk.judge(comments("late"))
        assert late.value.code == 503
        with pytest.raises(ApiError):
            await first
        rooms.may.set()
        assert texts_of(await desk.judge(comments("after"))) == ["after"]

    with desk_of(rooms, deadline_s=0.2) as (desk, _):
        asyncio.run(ask(desk))

    assert ["late"] not in rooms.batches


def test_a_request_that_alone_takes_too_long_is_refused_and_holds_nobody_up() -> None:
    """413; a single comment is always tried."""
    rooms = Rooms()

    async def ask(desk: Desk) -> None:
        with pytest.raises(ApiError, match=r"take about 30\.0 s, a request has 20 s") as refused:
            await desk.judge(comments("x", "x", "x"))
        assert refused.value.code == 413
        assert desk.waits_s == 0
        assert len(await desk.judge(comments("x"))) == 1

    with desk_of(rooms, pace=10 / X) as (desk, _):
        asyncio.run(ask(desk))


def test_a_large_request_whose_time_is_over_is_not_scored_to_its_end() -> None:
    """Its parts that still wait are dropped."""
    rooms = Rooms()
    rooms.may.clear()

    async def ask(desk: Desk) -> None:
        with pytest.raises(ApiError) as late:
            await desk.judge(comments(*"abcdefghij"))
        assert late.value.code == 503
        rooms.may.set()
        assert texts_of(await desk.judge(comments("after"), deadline_s=20)) == ["after"]

    with desk_of(rooms, deadline_s=0.3, batch=2) as (desk, _):
        asyncio.run(ask(desk))

    assert rooms.batches == [["a", "b"], ["after"]]


def test_of_a_very_long_text_only_what_is_scored_is_weighed() -> None:
    """A megabyte costs what eight pieces cost."""
    pace = Pace(TOKENS, 1)

    assert pace.weight("x" * 1_000_000) == pace.weight("x" * 10_000) < 10_000
    assert pace.weight("\ud800") > 0


def test_the_pace_follows_the_device() -> None:
    """A machine that became slower takes fewer requests."""
    rooms = Rooms()

    async def ask(desk: Desk) -> None:
        for _ in range(40):
            await desk.judge(comments("x"))

    with desk_of(rooms, pace=1.0, deadline_s=60) as (desk, _):
        asyncio.run(ask(desk))
        assert desk._pace.seconds(1) < 0.01  # noqa: SLF001


def test_a_device_that_fails_ends_it_all() -> None:
    """Who waits is answered by the deadline, who comes is turned away, and the process ends."""
    rooms = Rooms()
    rooms.fails = True

    async def ask(desk: Desk) -> None:
        with pytest.raises(ApiError) as late:
            await desk.judge(comments("x"))
        assert late.value.code == 503
        with pytest.raises(ApiError, match="stopping"):
            await desk.judge(comments("y"))

    with desk_of(rooms, deadline_s=0.5) as (desk, failures):
        asyncio.run(ask(desk))

    assert [str(failure) for failure in failures] == ["the device is gone"]


def test_what_waits_when_it_is_closed_is_still_judged() -> None:
    """A deploy loses no request that was accepted."""
    rooms = Rooms()
    rooms.may.clear()

    async def ask(desk: Desk) -> list[list[Answer]]:
        asked = [asyncio.create_task(desk.judge(comments(text))) for text in "abcdefghij"]
        await until(lambda: desk._weight == 10 * X)  # noqa: SLF001
        closing = asyncio.get_running_loop().run_in_executor(None, desk.close)
        rooms.may.set()
        answered = await asyncio.gather(*asked)
        await closing
        return answered

    with desk_of(rooms) as (desk, _):
        answered = asyncio.run(ask(desk))

    assert [texts_of(answers) for answers in answered] == [[text] for text in "abcdefghij"]
