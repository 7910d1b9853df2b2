"""Checkpoints: what a run needs to go on as if nothing had happened.

    step-00000120.safetensors   weights, their mean, the optimiser, the best weights, generators
    step-00000120.json          the hash of the former, the configuration, the history

Either appears whole or not at all, the JSON last: without it, or with another hash than it
says, a checkpoint does not count and the one before it does. Two are kept. Nothing is pickled,
so reading one runs no code. The learning rate and the place in the data follow from the number
of the step and need no keeping.
"""

import json
import math
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from schemas.bundle import file_entry
from schemas.errors import TrainingError
from trainer.distributed import World
from trainer.ema import Ema
from trainer.say import say

KEPT: Final = 2
UNFINISHED: Final = ".unfinished"

Tensors = dict[str, Tensor]


@dataclass(slots=True)
class History:
    """What happened: steps done, held-out loss by step, and the step whose weights are kept."""

    steps: int = 0
    best_step: int = 0
    best_loss: float = float("inf")
    losses: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """All that changes while a model is trained.

    Attributes:
        model: it, with the weights of the last step.
        optimizer: over its parameters.
        ema: the running mean of its weights, if there is one.
        history: what happened.
        best: the weights that are kept in the end; empty until there are some.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    ema: Ema | None
    history: History = field(default_factory=History)
    best: Tensors = field(default_factory=dict)

    def keep(self, held_out_loss: float, *, lowest: bool) -> None:
        """Note a held-out loss; keep the weights it is of if it is the lowest, or always.

        Raises:
            TrainingError: it is no number: the weights are lost.
        """
        history = self.history
        if not math.isfinite(held_out_loss):
            raise TrainingError(
                f"step {history.steps}: the held-out loss is {held_out_loss}",
                "lower --learning-rate or --head-factor, then start anew with --fresh",
            )
        history.losses[history.steps] = held_out_loss
        if held_out_loss < history.best_loss or not lowest:
            history.best_loss, history.best_step = held_out_loss, history.steps
            self.best = {k: v.detach().cpu().clone() for k, v in self.model.state_dict().items()}

    def tensors(self) -> Tensors:
        """Return all of it that is tensors, by name."""
        parts: dict[str, Mapping[str, Tensor]] = {
            "model": self.model.state_dict(),
            "ema": self.ema.mean if self.ema else {},
            "best": self.best,
            "optimizer": {
                f"{name}/{key}": value
                for name, parameter in self.model.named_parameters()
                for key, value in self.optimizer.state[parameter].items()
            },
        }
        return {f"{part}/{k}": v for part, those in parts.items() for k, v in those.items()}

    def load(self, tensors: Tensors, history: Mapping[str, Any]) -> None:
        """Become what `tensors` and the history of a checkpoint say."""
        self.model.load_state_dict(_under("model", tensors))
        self.best = _under("best", tensors)
        if self.ema:
            self.ema.load(_under("ema", tensors))
        for name, parameter in self.model.named_parameters():
            self.optimizer.state[parameter] = {
                key: value.to(parameter.device)
                for key, value in _under(f"optimizer/{name}", tensors).items()
            }
        losses = {int(step): loss for step, loss in history["losses"].items()}
        self.history = History(**{**history, "losses": losses})


@dataclass(slots=True)
class Checkpoints:
    """The checkpoints of one run, in a folder.

    Attributes:
        folder: theirs alone.
        configuration: by name, all that a run depends on; another one's is not gone on with.
        every_s: seconds from one to the next.
        world: the processes of the run; the first one writes, all read.
    """

    folder: Path
    configuration: dict[str, Any]
    every_s: float
    world: World
    _saved: float = field(default_factory=monotonic)

    @property
    def due(self) -> bool:
        """Say whether it is time for the next one."""
        return monotonic() - self._saved >= self.every_s

    def resume(self, run: Run) -> None:
        """Bring a run to where the last whole checkpoint stands, if there is one.

        Raises:
            TrainingError: it is of another configuration; what differs is named.
        """
        for facts_file in sorted(self.folder.glob("step-*.json"), reverse=True):
            found = _read(facts_file)
            if found is None:
                say(f"checkpoint {facts_file}: broken, the one before it is taken")
                continue
            tensors, facts = found
            self._must_match(facts["configuration"], facts_file)
            run.load(tensors, facts["history"])
            _set_generators(tensors, facts, self.world)
            say(f"going on from step {run.history.steps}, checkpoint {facts_file} (--fresh: anew)")
            return

    def save(self, run: Run) -> None:
        """Write a checkpoint, then drop those before the last two.

        Raises:
            TrainingError: it cannot be written; those before it are as they were.
        """
        states = self._generators()  # of all processes, so all take part
        if self.world.first:
            name = f"step-{run.history.steps:08}"
            weights = self.folder / f"{name}.safetensors"
            self.folder.mkdir(parents=True, exist_ok=True)
            plain = {k: v.detach().cpu().contiguous() for k, v in run.tensors().items()}
            _write(weights, lambda path: save_file(plain | states, path))
            facts = {
                "format": 1,
                "configuration": self.configuration,
                "history": asdict(run.history),
                "weights": file_entry(weights).model_dump(),
                "generators": _plain_generators(),
            }
            _write(self.folder / f"{name}.json", lambda path: path.write_text(json.dumps(facts)))
            self._drop_old()
            say(f"checkpoint: step {run.history.steps} is in {self.folder}")
        self._saved = monotonic()

    def _generators(self) -> Tensors:
        """Return the states of torch's generators, [processes, bytes] each."""
        states = {"generators/cpu": self.world.gather(torch.get_rng_state())}
        if torch.cuda.is_available():
            states["generators/cuda"] = self.world.gather(torch.cuda.get_rng_state())
        return states

    def _must_match(self, theirs: Mapping[str, Any], where: Path) -> None:
        differ = [
            f"{name} is {theirs.get(name)} there, {self.configuration.get(name)} here"
            for name in sorted(theirs.keys() | self.configuration.keys())
            if theirs.get(name) != self.configuration.get(name)
        ]
        if differ:
            raise TrainingError(
                f"checkpoint {where} is of another run: {'; '.join(differ)}",
                "give the options of that run to go on with it, --fresh to start anew in its "
                "place, or another --out",
            )

    def _drop_old(self) -> None:
        kept = sorted(path.stem for path in self.folder.glob("step-*.json"))[-KEPT:]
        for path in self.folder.glob("step-*"):
            if path.name.split(".")[0] not in kept or path.suffix == UNFINISHED:
                path.unlink()
        for path in self.folder.glob(".tmp*"):  # of safetensors, when it was killed
            path.unlink()


def _read(facts_file: Path) -> tuple[Tensors, dict[str, Any]] | None:
    """Read a checkpoint; None if it is not whole."""
    weights = facts_file.with_suffix(".safetensors")
    try:
        facts: dict[str, Any] = json.loads(facts_file.read_bytes())
        if facts["weights"] != file_entry(weights).model_dump():
            return None
        return load_file(weights), facts
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole or not at all, on the disk and not merely in memory."""
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        write(unfinished)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except (OSError, SafetensorError) as error:
        unfinished.unlink(missing_ok=True)
        raise TrainingError(
            f"{path} cannot be written: {getattr(error, 'strerror', None) or error}",
            "make room, then start the same command: it goes on from the checkpoint before",
        ) from error


def _under(part: str, tensors: Tensors) -> Tensors:
    return {k.removeprefix(f"{part}/"): v for k, v in tensors.items() if k.startswith(f"{part}/")}


def _plain_generators() -> dict[str, Any]:
    """Return the states of Python's and NumPy's generators: a model may draw from them."""
    kind, numbers, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - the global one
    return {"python": random.getstate(), "numpy": [kind, np.asarray(numbers).tolist(), *rest]}


def _set_generators(tensors: Tensors, facts: Mapping[str, Any], world: World) -> None:
    # cloned: torch reads a state from where its memory begins, a row's offset notwithstanding
    states = {k: v[world.rank].clone() for k, v in _under("generators", tensors).items()}
    torch.set_rng_state(states["cpu"])
    if torch.cuda.is_available() and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])
    version, numbers, gauss = facts["generators"]["python"]
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(tuple(facts["generators"]["numpy"]))  # noqa: NPY002 - the global one
