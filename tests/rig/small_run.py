"""A small run, in a process of its own for tests that end it: trains, then writes the weights.

python small_run.py BASE FILE FOLDER SETTINGS [MOST BYTES IN A FILE]
"""

import json
import resource
import sys
from pathlib import Path

import click
import torch
from safetensors.torch import save_file

from schemas.errors import TrainingError
from trainer import fit
from trainer.checkpoint import History
from trainer.data import LabelledFile, read_files
from trainer.dataset import CommentDataset
from trainer.distributed import joined
from trainer.loss import positive_weights
from trainer.model import load_model, load_tokenizer
from trainer.normalise import with_cleaning
from trainer.recipe import FitSettings


def small_run(base: str, file: Path, folder: Path, settings: FitSettings) -> History:
    """Train on four fifths of a file's rows, and write the weights into the folder."""
    torch.manual_seed(settings.seed)
    rows, tokenizer = read_files([LabelledFile(file)]), with_cleaning(load_tokenizer(base))
    cut = len(rows) // 5
    held_out, train = rows.take(list(range(cut))), rows.take(list(range(cut, len(rows))))
    model = load_model(base, rows.names)
    with joined() as world:
        history = fit.fit(
            model,
            CommentDataset(train, tokenizer, 48),
            CommentDataset(held_out, tokenizer, 48),
            weights=positive_weights(train.labels),
            folder=folder,
            settings=settings,
            world=world,
        )
        save_file(model.state_dict(), folder / f"weights-{world.rank}.safetensors")
    return history


def main(base: str, file: str, folder: str, settings: str, most_bytes: str | None = None) -> None:
    """Run with the arguments of the command line, on one thread."""
    torch.set_num_threads(1)
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(most_bytes), int(most_bytes)))
    try:
        small_run(base, Path(file), Path(folder), FitSettings(**json.loads(settings)))
    except TrainingError as error:
        click.echo(f"error: {error.what}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
