"""Training on one page: batches in, the weights with the lowest held-out loss out."""

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from time import monotonic
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from trainer.calibrate import Floats
from trainer.checkpoint import Checkpoints, History, Run
from trainer.dataset import (
    Batch,
    CommentDataset,
    LikeLengthBatches,
    ShuffledBatches,
    Steps,
    loader,
)
from trainer.device import choose_device
from trainer.distributed import ALONE, World
from trainer.ema import Ema
from trainer.loss import Loss
from trainer.optimizer import choose_optimizer, set_rate, share_of_rate
from trainer.progress import Progress
from trainer.recipe import FitSettings
from trainer.stop import Stop

CHECKPOINTS: Final = "checkpoints"
CURVES: Final = "tensorboard"


def fit(  # noqa: PLR0913 - what the loop needs, each a thing of its own
    model: PreTrainedModel,
    train: CommentDataset,
    held_out: CommentDataset,
    *,
    weights: Tensor,
    folder: Path,
    settings: FitSettings,
    world: World = ALONE,
) -> History:
    """Train `model` in place and leave it with the weights that had the lowest held-out loss.

    A run that was killed goes on from the last checkpoint in `folder`; on a CPU to the same
    weights, bit for bit. SIGTERM and Ctrl-C end it after the step, with a checkpoint.

    Args:
        model: an encoder with a head of one logit for each label.
        train: rows to learn from; labels may be not known, or fractions.
        held_out: rows for the early choice, never learnt from.
        weights: [labels] of a positive in the loss, as `positive_weights` gives them.
        folder: of the run's checkpoints and curves.
        settings: the recipe.
        world: the processes that train together.

    Raises:
        TrainingError: a checkpoint cannot be written, or is one of another configuration.
        SystemExit: a signal asked to stop (128 + its number).
    """
    configuration = configuration_of(model, train, held_out, settings, world)
    torch.manual_seed(settings.seed + world.rank)
    device, dtype = choose_device(world, bf16=settings.bf16)
    precision = torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)
    model.to(device)  # type: ignore[arg-type]  # transformers loses its type
    model.train()
    loss = Loss(settings.loss, weights.to(device))
    steps = Steps(train, batches_of(train, settings), settings.gradient_accumulation_steps, world)
    to_judge = loader(held_out, settings.token_budget)
    an_epoch = len(steps.in_epoch(0))
    total = min(settings.max_steps or settings.epochs * an_epoch, settings.epochs * an_epoch)
    judge_every = max(1, min(total, an_epoch // settings.evaluations))

    run = Run(model, choose_optimizer(model, settings), Ema.of(model, settings.ema_decay))
    checkpoints = Checkpoints(
        folder / CHECKPOINTS, configuration, settings.checkpoint_every_s, world
    )
    checkpoints.resume(run)
    forward = world.wrap(compiled(model) if settings.torch_compile else model)
    with (
        Stop.watching() as stop,
        Progress.of(model, folder / CURVES, run.history.steps, total, world) as progress,
    ):
        left = range(run.history.steps, total)
        for step, batches in zip(left, steps.after(run.history.steps), strict=False):
            # ---------------------------------------------------------------- one step
            rate = set_rate(run.optimizer, share_of_rate(step, total, settings))
            mean_loss = backward(forward, batches, loss, precision, world)
            if settings.max_grad_norm:
                nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
            run.optimizer.step()
            run.optimizer.zero_grad(set_to_none=True)
            run.history.steps = done = step + 1
            if run.ema:
                run.ema.update(done)
            # -------------------------------------------------------------------------
            progress.step(done, batches, mean_loss, rate)
            since = monotonic()
            if done % judge_every == 0 or done == total:
                with run.ema.in_place() if run.ema else nullcontext():
                    found = evaluate_loss(model, to_judge, loss, precision, world)
                    run.keep(found, lowest=settings.load_best_model_at_end)
                progress.judged(run.history)
            # Processes are told to stop, and read their clocks, at different times: agree.
            asked, due = world.sum([stop.signal, checkpoints.due])
            if asked or due or done == total:
                checkpoints.save(run)
            if asked:
                stop.leave(done, total)
            progress.leave_out(since)
    model.load_state_dict(run.best)
    model.train(mode=False)
    return run.history


def backward(
    forward: nn.Module, batches: Sequence[Batch], loss: Loss, precision: Any, world: World
) -> Tensor:
    """Leave in the parameters the gradient of one step, and return its loss.

    It is that of the loss summed over all batches of all processes, divided by the labels that
    are known in them: the same, however the rows are dealt out.

    Args:
        forward: the model, as `World.wrap` gives it.
        batches: of this process; as many as every other process has.
        loss: on the model's device.
        precision: the autocast in which the model computes.
        world: the processes that train together.
    """
    device = loss.positive_weights.device
    (known,) = world.sum([sum(batch.known for batch in batches)])
    mean = torch.zeros((), device=device)
    for number, batch in enumerate(batches, start=1):
        last, on_device = number == len(batches), batch.to(device)
        with nullcontext() if last else world.by_itself(forward):
            with precision:
                logits = forward(input_ids=on_device.ids, attention_mask=on_device.mask).logits
            summed = loss.sum(logits.float(), on_device.labels, on_device.weights)
            # Gradients are averaged over the processes, and wanted is their sum.
            part = summed * (world.size / max(1.0, known))
            torch.autograd.backward(part)
        mean += part.detach()
    return mean


def compiled(model: nn.Module) -> nn.Module:
    """Return what computes the same in fewer and larger kernels, on batches of any shape."""
    module: nn.Module = torch.compile(model, dynamic=True)  # type: ignore[assignment]
    return module


def batches_of(train: CommentDataset, settings: FitSettings) -> LikeLengthBatches | ShuffledBatches:
    """Return what draws the batches: by a token budget, or by a number of rows."""
    rows = settings.per_device_train_batch_size
    if rows is None:
        return LikeLengthBatches(train.lengths, settings.token_budget, settings.seed)
    return ShuffledBatches(train.lengths, rows, settings.token_budget, settings.seed)


@torch.inference_mode()
def evaluate_loss(
    model: nn.Module, batches: Iterable[Batch], loss: Loss, precision: Any, world: World
) -> float:
    """Return the mean loss over held-out rows, of which each process judges its share."""
    device = loss.positive_weights.device
    summed, known = torch.zeros((), device=device), 0
    model.train(mode=False)
    for number, batch in enumerate(batches):
        if number % world.size == world.rank:
            on_device = batch.to(device)
            with precision:
                logits = model(input_ids=on_device.ids, attention_mask=on_device.mask).logits
            ones = torch.ones_like(on_device.weights)
            summed += loss.sum(logits.float(), on_device.labels, ones)
            known += batch.known
    model.train()
    total, labels = world.sum([summed.item(), known])
    return total / max(1.0, labels)


@torch.inference_mode()
def predict(model: nn.Module, dataset: CommentDataset, budget: int) -> Floats:
    """Return [rows, labels] logits in the order of the dataset, computed in float32."""
    training, device = model.training, next(model.parameters()).device
    model.train(mode=False)
    batches = loader(dataset, budget)
    logits = [
        model(input_ids=batch.ids.to(device), attention_mask=batch.mask.to(device)).logits.float()
        for batch in batches
    ]
    model.train(training)
    order = [i for batch in batches.batch_sampler or () for i in batch]
    back: Floats = torch.cat(logits).cpu().double().numpy()[np.argsort(order)]
    return back


def configuration_of(
    model: PreTrainedModel,
    train: CommentDataset,
    held_out: CommentDataset,
    settings: FitSettings,
    world: World,
) -> dict[str, Any]:
    """Return all that the weights depend on, by name, as a checkpoint states it."""
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return settings.model_dump(mode="json", exclude={"checkpoint_every_s"}) | {
        "rows to learn from": train.fingerprint(),
        "rows held out": held_out.fingerprint(),
        "base": f"{model.config.model_type} {digest.hexdigest()[:16]}",
        "labels": list((model.config.id2label or {}).values()),
        "processes": world.size,
    }
