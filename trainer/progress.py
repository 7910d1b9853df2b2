"""How it goes: a line every ten seconds, and curves for TensorBoard."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final, Self

import torch
from torch import Tensor
from transformers import PreTrainedModel

from trainer.checkpoint import History
from trainer.dataset import Batch
from trainer.distributed import World
from trainer.flops import TrainingFlops, peak
from trainer.say import say

SAY_EVERY_S: Final = 10.0


@dataclass(slots=True)
class Progress:
    """Counts steps, says how it goes and draws curves; the first process does so for all.

    Attributes:
        total: steps of the whole run.
        flops: of the model.
        most: FLOP that the device can compute a second, if that is known.
        processes: of the run, taken to be as quick as this one.
        curves: TensorBoard's writer; None where nobody draws.
    """

    total: int
    flops: TrainingFlops
    most: float | None
    processes: int
    curves: Any
    _said: float = field(default_factory=monotonic)
    _steps: int = 0
    _comments: int = 0
    _tokens: int = 0
    _flop: float = 0.0

    @classmethod
    @contextmanager
    def of(
        cls, model: PreTrainedModel, folder: Path, done: int, total: int, world: World
    ) -> Iterator[Self]:
        """Follow a run that has `done` of its steps; curves in `folder` go on from there."""
        device = next(model.parameters()).device
        curves = _open_curves(folder, done) if world.first else None
        try:
            yield cls(total, TrainingFlops(model), peak(device), world.size, curves)
        finally:
            if curves is not None:
                curves.close()

    def step(self, step: int, batches: Sequence[Batch], loss: Tensor, rate: float) -> None:
        """Count a step, and every SAY_EVERY_S say how it goes."""
        lengths = torch.cat([batch.mask.sum(dim=1) for batch in batches])
        self._steps += 1
        self._comments += len(lengths) * self.processes
        self._tokens += int(lengths.sum()) * self.processes
        self._flop += self.flops.of(lengths)
        elapsed = monotonic() - self._said
        if elapsed >= SAY_EVERY_S or step == self.total:
            self._say(step, loss.item(), rate, elapsed)

    def judged(self, history: History) -> None:
        """Say what came of an evaluation."""
        step, loss = history.steps, history.losses[history.steps]
        kept = "kept" if history.best_step == step else f"step {history.best_step} stays"
        say(f"step {step}/{self.total}: held-out loss {loss:.4f} ({kept})")
        self._draw(step, held_out_loss=loss)

    def leave_out(self, since: float) -> None:
        """Leave the time since then out of the rates: it went into judging or a checkpoint."""
        self._said += monotonic() - since

    def _say(self, step: int, loss: float, rate: float, elapsed: float) -> None:
        comments, tokens = self._comments / elapsed, self._tokens / elapsed
        left = (self.total - step) * elapsed / self._steps
        share = f", {self._flop / elapsed / self.most:.0%} of its FLOP" if self.most else ""
        say(
            f"step {step}/{self.total}: loss {loss:.4f}, {comments:,.0f} comments/s, "
            f"{tokens:,.0f} tokens/s{share}, {left / 60:.1f} min left"
        )
        self._draw(step, loss=loss, learning_rate=rate, comments_per_s=comments)
        self._said, self._steps, self._comments = monotonic(), 0, 0
        self._tokens, self._flop = 0, 0.0

    def _draw(self, step: int, **values: float) -> None:
        if self.curves is not None:
            for name, value in values.items():
                self.curves.add_scalar(name, value, step)


def _open_curves(folder: Path, done: int) -> Any:
    """Return TensorBoard's writer, which takes back what was drawn after step `done`."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - a second, and optional
    except ImportError:
        say("no curves are drawn: TensorBoard is not installed")
        return None
    return SummaryWriter(str(folder), purge_step=done + 1)
