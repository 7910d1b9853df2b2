"""The gradient of a first step, by as many processes as `torchrun` starts; rank 0 writes it.

python one_gradient.py BASE FILE OUT BUDGET
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from schemas.labels import LABELS
from trainer import fit
from trainer.data import LabelledFile, read_files
from trainer.dataset import CommentDataset, LikeLengthBatches, ShuffledBatches, Steps
from trainer.distributed import World, joined
from trainer.loss import Loss
from trainer.model import load_model, load_tokenizer
from trainer.normalise import with_cleaning

ROWS = 9


def nine_rows(base: str, file: Path) -> CommentDataset:
    """Return a few rows, unlike in length, in labels that are known, and in weight."""
    rows = read_files([LabelledFile(file)]).take(range(ROWS))
    rows.labels[:4, 1:] = float("nan")
    rows.weights[:] = torch.linspace(0.1, 2, ROWS).numpy()
    return CommentDataset(rows, with_cleaning(load_tokenizer(base)), 48)


def model_of(base: str) -> PreTrainedModel:
    """Return a model without dropout, so that rows dealt otherwise give the same gradient."""
    torch.manual_seed(0)
    model = load_model(base, LABELS)
    model.train(mode=False)
    return model


def gradient(
    model: PreTrainedModel,
    dataset: CommentDataset,
    batches: LikeLengthBatches | ShuffledBatches,
    accumulate: int,
    world: World,
) -> Tensor:
    """Return the gradient of the first step, of all parameters in one vector."""
    steps = Steps(dataset, batches, accumulate, world)
    loss = Loss("bce", torch.ones(len(LABELS)))
    precision = torch.autocast("cpu", enabled=False)
    model.zero_grad()
    fit.backward(world.wrap(model), next(steps.after(0)), loss, precision, world)
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def main(base: str, file: str, out: str, budget: str) -> None:
    """Take the step over all rows, in as many batches as the budget makes."""
    torch.set_num_threads(1)
    dataset = nine_rows(base, Path(file))
    with joined() as world:
        batches = LikeLengthBatches(dataset.lengths, int(budget))
        found = gradient(model_of(base), dataset, batches, ROWS, world)
        if world.first:
            save_file({"gradient": found}, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
