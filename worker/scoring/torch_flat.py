"""The float engine without padding: micro-batches end to end, launched first and fetched late."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from worker.batching import FLAT, Flat, MicroBatch, flat
from worker.pulse import Pulse
from worker.scoring.engine import Logits
from worker.scoring.torch_errors import guarded


class TorchFlat:
    """A flat encoder behind the protocol of engines.

    Args:
        launch: starts a pass; returns [pieces, labels] logits on the device, perhaps not yet there.
        budget: what a micro-batch costs at which the device is at its best, in tokens.
        description: engine, device and number type, for the log.
        pulse: beaten as micro-batches end.
        stream: of the GPU, on which all of it happens; None on a CPU.
    """

    requests = 1  # the device computes one micro-batch with all that it has
    layout = FLAT

    def __init__(
        self,
        launch: Callable[[Flat], Tensor],
        budget: int,
        description: str,
        pulse: Pulse,
        stream: torch.cuda.Stream | None,
    ) -> None:
        self._launch = launch
        self.budget = budget
        self.description = description
        self._pulse = pulse
        self._stream = stream

    def logits(self, batches: Sequence[MicroBatch]) -> list[Logits]:
        """Return the logits of each micro-batch, [pieces, labels], in order.

        All are launched before the first is waited for: while the device computes one, the next
        is laid out.

        Raises:
            DeviceMemoryError: a micro-batch does not fit the GPU.
            ScoringError: any other error of the device: nothing after it can be trusted.
        """
        return guarded(self.description, lambda: self._computed(batches))

    def _computed(self, batches: Sequence[MicroBatch]) -> list[Logits]:
        on_their_way = []
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            for batch in batches:
                on_their_way.append(_fetched(self._launch(flat(list(chain.from_iterable(batch))))))
                self._pulse.beat()
        return [self._arrived(result) for result in on_their_way]

    def _arrived(self, result: "_Result") -> Logits:
        if result.there is not None:
            result.there.synchronize()
            self._pulse.beat()
        return result.logits.numpy()


class _Result(NamedTuple):
    """Logits in the host's memory, from when `there` has happened; None: they are there."""

    logits: Tensor
    there: torch.cuda.Event | None


def _fetched(logits: Tensor) -> _Result:
    """Ask for logits; a later pass may write over those on the device."""
    host = torch.empty(logits.shape, dtype=logits.dtype, pin_memory=logits.is_cuda)
    host.copy_(logits, non_blocking=True)
    if not logits.is_cuda:
        return _Result(host, None)
    there = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch types it not
    there.record()
    return _Result(host, there)
