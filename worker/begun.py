"""Work that goes on elsewhere, on the device, while its caller does something else."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Begun(Generic[T]):
    """Work that was begun.

    Attributes:
        is_ready: says whether it has ended, or goes on only when the result is asked for.
        result: waits for its end, and returns what came of it, or raises.
    """

    is_ready: Callable[[], bool]
    result: Callable[[], T]

    def then(self, follow: Callable[[T], U]) -> "Begun[U]":
        """Return the same work with a last step, which whoever asks for the result takes."""
        return Begun(self.is_ready, lambda: follow(self.result()))


def when_asked(work: Callable[[T], U]) -> Callable[[T], Begun[U]]:
    """Return work that nobody does elsewhere: it is done when its result is asked for."""
    return lambda given: Begun(lambda: True, partial(work, given))
