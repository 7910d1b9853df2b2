"""What every engine is: micro-batches in, logits out."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ScoringError
from worker.batching import Layout, MicroBatch
from worker.begun import Begun

Logits = NDArray[np.float32]


class Engine(Protocol):
    """A model on a device. Called from one thread, after `prime` from the main thread."""

    @property
    def description(self) -> str:
        """Engine, device and number type, for the log."""
        ...

    @property
    def layout(self) -> Layout:
        """How micro-batches lie in its memory."""
        ...

    @property
    def budget(self) -> int:
        """What a micro-batch costs at which this engine is at its best, in tokens."""
        ...

    @property
    def requests(self) -> int:
        """How many micro-batches it computes at once."""
        ...

    def logits(self, batches: Sequence[MicroBatch]) -> list[Logits]:
        """Return the logits of each micro-batch, [pieces, labels], in order.

        Raises:
            DeviceMemoryError: a micro-batch does not fit; a smaller one may.
            ScoringError: the device is in no state to go on; the process must end.
        """
        ...


@runtime_checkable
class OverlappingEngine(Engine, Protocol):
    """An engine that computes while its caller does something else."""

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to compute."""
        ...

    def begin(self, batches: Sequence[MicroBatch]) -> Begun[list[Logits]]:
        """Begin to compute the logits of each micro-batch; more may be begun meanwhile.

        Raises:
            ScoringError: the device is in no state to go on; the process must end.
        """
        ...


class DeviceMemoryError(ScoringError):
    """A micro-batch does not fit the device's memory."""
