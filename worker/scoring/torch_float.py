"""The float engine for any encoder that transformers knows: its own model, rows filled up."""

from collections.abc import Sequence
from typing import Any, Final

import torch

from worker.batching import Layout, MicroBatch, padded
from worker.pulse import Pulse
from worker.scoring.engine import Logits
from worker.scoring.torch_device import TorchDevice
from worker.scoring.torch_errors import guarded

LAYOUT: Final = Layout(8)  # the tensor cores of a GPU like multiples


class TorchFloat:
    """A sequence classifier as transformers computes it.

    Args:
        model: the classifier, in the device's number type.
        device: where it computes.
        pulse: beaten as micro-batches end.
    """

    requests = 1  # the device computes one micro-batch with all that it has
    layout = LAYOUT

    def __init__(self, model: Any, device: TorchDevice, pulse: Pulse) -> None:
        self._pulse = pulse
        self._device = device
        self._model = model.to(device.torch)
        self.budget = device.budget

    @property
    def description(self) -> str:
        """Engine, device and number type, for the log."""
        return f"torch {self._device.description}"

    def logits(self, batches: Sequence[MicroBatch]) -> list[Logits]:
        """Return the logits of each micro-batch, [pieces, labels], in order.

        Raises:
            DeviceMemoryError: a micro-batch does not fit the GPU.
            ScoringError: any other error of the device: nothing after it can be trusted.
        """
        return guarded(self.description, lambda: self._computed(batches))

    def _computed(self, batches: Sequence[MicroBatch]) -> list[Logits]:
        results = []
        with torch.inference_mode():
            for batch in batches:
                results.append(self._forward(batch))
                self._pulse.beat()
        return [result.cpu().numpy() for result in results]

    def _forward(self, batch: MicroBatch) -> torch.Tensor:
        rows = padded(batch, LAYOUT)
        ids = torch.from_numpy(rows.ids).to(self._device.torch, non_blocking=True)
        mask = torch.from_numpy(rows.mask).to(self._device.torch, non_blocking=True)
        logits: torch.Tensor = self._model(input_ids=ids, attention_mask=mask).logits
        return logits[: len(batch)].float()
