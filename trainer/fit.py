"""Training on one page: batches in, the weights with the lowest held-out loss out."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from trainer.calibrate import Floats
from trainer.data import Labels
from trainer.dataset import Batch, CommentDataset, LikeLengthBatches, loader
from trainer.say import say

MOST_WEIGHT: Final = 20.0  # of a positive, however rare its label
SAY_EVERY_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How the model is trained; the defaults are the recipe of the shipped bundle.

    Attributes:
        epochs: passes over the training rows.
        max_steps: steps at most, whatever `epochs` says; None for no bound.
        learning_rate: of the encoder at its highest.
        head_factor: how many times faster the fresh head learns than the encoder.
        weight_decay: of all but biases and norms.
        warm_up: share of the steps in which the learning rate rises; after it falls to 0.
        token_budget: padded tokens in a batch.
        clip: the norm to which gradients are clipped.
        evaluations: how many times an epoch the held-out loss is taken.
        seed: of the order of rows, the head and dropout.
    """

    epochs: int = 3
    max_steps: int | None = None
    learning_rate: float = 2e-4
    head_factor: float = 10.0
    weight_decay: float = 0.01
    warm_up: float = 0.06
    token_budget: int = 2_048
    clip: float = 1.0
    evaluations: int = 2
    seed: int = 0


@dataclass(slots=True)
class History:
    """What happened: held-out loss by step, and the step whose weights were kept."""

    steps: int = 0
    best_step: int = 0
    best_loss: float = float("inf")
    losses: dict[int, float] = field(default_factory=dict)


def fit(  # noqa: PLR0913 - what the loop needs, each a thing of its own
    model: nn.Module,
    train: CommentDataset,
    held_out: CommentDataset,
    *,
    weights: Tensor,
    checkpoint: Path,
    settings: FitSettings,
) -> History:
    """Train `model` in place and leave it with the weights that had the lowest held-out loss.

    Args:
        model: an encoder with a head of one logit for each label.
        train: rows to learn from; labels may be not known.
        held_out: rows for the early choice, never learnt from.
        weights: [labels] of a positive in the loss, as `positive_weights` gives them.
        checkpoint: where the best weights are kept on the way (safetensors).
        settings: the recipe.
    """
    device, dtype = choose_device()
    model.to(device)
    weights = weights.to(device)
    batches = loader(train, settings.token_budget, settings.seed)
    an_epoch = count_batches(train, settings)
    total = min(settings.max_steps or settings.epochs * an_epoch, settings.epochs * an_epoch)
    evaluate_every = max(1, min(total, an_epoch // settings.evaluations))
    optimizer = torch.optim.AdamW(parameter_groups(model, settings))
    schedule = LambdaLR(optimizer, partial(share_of_rate, total=total, warm_up=settings.warm_up))
    history, clock = History(), Clock(total)
    model.train()
    for step, (ids, mask, labels) in enumerate(_endless(batches, total), start=1):
        # ---------------------------------------------------------------- one step
        with torch.autocast(device.type, dtype, enabled=dtype is not torch.float32):
            logits = model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
        loss = masked_loss(logits.float(), labels.to(device), weights)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        # -------------------------------------------------------------------------
        clock.step(step, len(ids), loss)
        if step % evaluate_every == 0 or step == total:
            held_out_loss = evaluate_loss(model, held_out, weights, settings.token_budget)
            history.losses[step] = held_out_loss
            if held_out_loss < history.best_loss:
                history.best_loss, history.best_step = held_out_loss, step
                save_weights(model, checkpoint)
            kept = "kept" if history.best_step == step else f"step {history.best_step} stays"
            say(f"step {step}/{total}: held-out loss {held_out_loss:.4f} ({kept})")
    history.steps = total
    model.load_state_dict(load_file(checkpoint))
    model.to("cpu")
    model.train(mode=False)
    return history


def share_of_rate(step: int, total: int, warm_up: float) -> float:
    """Return the share of the highest learning rate at a step: up in a line, then down to 0."""
    rising = max(1, round(warm_up * total))
    return min((step + 1) / rising, max(0.0, (total - step) / max(1, total - rising)))


def masked_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over the labels that are known.

    Args:
        logits: [rows, labels].
        labels: [rows, labels] in 0..1, NaN where not known: no loss, no gradient.
        weights: [labels] of the positive part.
    """
    known = labels.isfinite()
    losses = nn.functional.binary_cross_entropy_with_logits(
        logits, labels.nan_to_num(0.0), pos_weight=weights, reduction="none"
    )
    return losses[known].sum() / known.sum().clamp(min=1)


def positive_weights(labels: Labels) -> Tensor:
    """Return [labels] the root of the inverse share of positives among the known.

    With their plain share the rare labels drown in the first epochs; with the inverse itself
    the probabilities leave the scale. A label without positives weighs 1.
    """
    known = np.isfinite(labels).sum(axis=0)
    positives = np.nansum(labels, axis=0)
    weights = np.sqrt(known / np.maximum(positives, 1e-9))
    weights = np.where(positives > 0, np.clip(weights, 1.0, MOST_WEIGHT), 1.0)
    return torch.tensor(weights, dtype=torch.float32)


def choose_device() -> tuple[torch.device, torch.dtype]:
    """Choose where to train and in which number type, and say why."""
    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported()
        device, where = torch.device("cuda"), torch.cuda.get_device_name()
    else:
        # Without these instructions bf16 is emulated, hundreds of times slower.
        fast = torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001 - there is no public question
        device, where = torch.device("cpu"), f"CPU, {torch.get_num_threads()} threads"
    say(f"device: {where}; {'bf16 autocast, it has' if fast else 'fp32, it lacks'} bf16")
    return device, torch.bfloat16 if fast else torch.float32


def parameter_groups(model: nn.Module, settings: FitSettings) -> list[dict[str, object]]:
    """Split the parameters by whether they decay and whether they are the fresh head's."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        head = not name.startswith(f"{model.base_model_prefix}.")
        groups.setdefault((head, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": settings.learning_rate * (settings.head_factor if head else 1.0),
            "weight_decay": settings.weight_decay if decays else 0.0,
        }
        for (head, decays), parameters in groups.items()
    ]


def count_batches(train: CommentDataset, settings: FitSettings) -> int:
    """Count the batches of one pass over the training rows."""
    return sum(1 for _ in LikeLengthBatches(train.lengths, settings.token_budget, settings.seed))


@torch.inference_mode()
def predict(model: nn.Module, dataset: CommentDataset, budget: int) -> Floats:
    """Return [rows, labels] logits in the order of the dataset, computed in float32."""
    training, device = model.training, next(model.parameters()).device
    model.train(mode=False)
    batches = loader(dataset, budget)
    logits = [
        model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits.float().cpu()
        for ids, mask, _ in batches
    ]
    model.train(training)
    order = [i for batch in batches.batch_sampler or () for i in batch]
    back: Floats = torch.cat(logits).double().numpy()[np.argsort(order)]
    return back


def evaluate_loss(model: nn.Module, dataset: CommentDataset, weights: Tensor, budget: int) -> float:
    """Return the loss over held-out rows."""
    labels = torch.stack([labels for _, labels in (dataset[i] for i in range(len(dataset)))])
    logits = torch.from_numpy(predict(model, dataset, budget))
    return masked_loss(logits, labels, weights.cpu()).item()


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the weights whole or not at all: a full disk leaves the ones before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    save_file({k: v.contiguous().cpu() for k, v in model.state_dict().items()}, unfinished)
    unfinished.replace(path)


@dataclass(slots=True)
class Clock:
    """The progress line: loss, comments a second, time left."""

    total: int
    _said: float = field(default_factory=time.monotonic)
    _steps: int = 0
    _comments: int = 0

    def step(self, step: int, comments: int, loss: Tensor) -> None:
        """Count a step, and every SAY_EVERY_S say how it goes."""
        self._steps += 1
        self._comments += comments
        elapsed = time.monotonic() - self._said
        if elapsed < SAY_EVERY_S and step != self.total:
            return
        left = (self.total - step) * elapsed / self._steps
        say(
            f"step {step}/{self.total}: loss {loss.item():.4f}, "
            f"{self._comments / elapsed:.0f} comments/s, {left / 60:.1f} min left"
        )
        self._said, self._steps, self._comments = time.monotonic(), 0, 0


def _endless(batches: DataLoader[Batch], steps: int) -> Iterator[Batch]:
    """Yield `steps` batches, starting anew when the rows are through."""
    left = steps
    while left > 0:
        for batch in batches:
            if left == 0:
                return
            left -= 1
            yield batch
