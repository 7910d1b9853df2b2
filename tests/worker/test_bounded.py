"""A call that may never return is left behind, and the next one is not."""

from threading import Event, current_thread
from weakref import ref

import pytest

from worker.bounded import Bounded


def test_calls_share_one_thread_and_raise_what_they_raise() -> None:
    """As if they had been made here."""
    bounded = Bounded("calls")

    def fail() -> None:
        raise ValueError("of the call")

    with pytest.raises(ValueError, match="of the call"):
        bounded(fail, 5)
    first, second = (bounded(current_thread, 5) for _ in range(2))
    assert first.name == "calls"
    assert first is second


def test_a_call_that_does_not_return_is_left_behind() -> None:
    """Its thread ends when it does; the next call has another."""
    bounded, enough = Bounded("calls"), Event()
    first = bounded(current_thread, 5)

    with pytest.raises(TimeoutError):
        bounded(enough.wait, 0.01)

    assert bounded(current_thread, 5) is not first
    enough.set()
    first.join(5)
    assert not first.is_alive()


def test_nothing_of_a_call_that_failed_lives_on() -> None:
    """A producer that was given up has threads and memory; nobody waits for the collector."""

    class Producer:
        def send(self) -> None:
            raise ValueError("of the call")

    bounded, producer = Bounded("calls"), Producer()
    trace = ref(producer)

    with pytest.raises(ValueError, match="of the call"):
        bounded(producer.send, 5)
    bounded(current_thread, 5)  # the thread is done with the one before

    del producer
    assert trace() is None
