"""A call that may never return, in a thread of its own: whoever asked for it can go on without."""

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any

Call = tuple[Callable[[], Any], "Future[Any]"]


class Bounded:
    """Runs one call at a time.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Call | None] | None = None  # None: no thread, or one left behind

    def __call__(self, act: Callable[[], Any], within_s: float) -> Any:
        """Call, and return what it returns.

        Raises:
            TimeoutError: it has not returned; its thread is left behind, and ends when it does.
            Exception: what it raised.
        """
        calls = self._calls = self._calls or self._started()
        outcome: Future[Any] = Future()
        calls.put((act, outcome))
        try:
            return outcome.result(within_s)
        except TimeoutError:
            calls.put(None)
            self._calls = None
            raise
        finally:
            del act, outcome  # an error would hold them, and what they belong to, in a circle

    def _started(self) -> "SimpleQueue[Call | None]":
        calls: SimpleQueue[Call | None] = SimpleQueue()
        Thread(target=_serve, args=(calls,), name=self._name, daemon=True).start()
        return calls


def _serve(calls: "SimpleQueue[Call | None]") -> None:
    while (call := calls.get()) is not None:
        act, outcome = call
        try:
            outcome.set_result(act())
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the caller
            outcome.set_exception(error)
        del call, act, outcome  # a producer that was given up must not live on here
