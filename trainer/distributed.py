"""One process, or many under `torchrun`: who is who, and what they tell each other."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True, slots=True)
class World:
    """The processes of a run, seen from one of them.

    Attributes:
        rank: which of them this is; 0 writes and speaks.
        size: how many there are.
        local_rank: which of those on this machine this is.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Say whether this process writes and speaks."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the model as the step calls it: with its gradients averaged over processes."""
        return model if self.size == 1 else DistributedDataParallel(model)

    def by_itself(self, model: nn.Module) -> AbstractContextManager[None]:
        """Keep gradients in this process: more batches of the same step follow."""
        return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return the sums over all processes. They meet on the CPU: no GPU is waited for."""
        if self.size == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(summed)
        found: list[float] = summed.tolist()
        return found

    def gather(self, tensor: Tensor) -> Tensor:
        """Return [processes, ...] the tensors of all processes, of one shape, on the CPU."""
        if self.size == 1:
            return tensor[None]
        every = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(every, tensor)
        return torch.stack(every)

    def wait(self) -> None:
        """Wait until all processes have come this far."""
        self.sum([0.0])


ALONE = World()


@contextmanager
def joined() -> Iterator[World]:
    """Join the processes that `torchrun` started; without it there is only this one."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    world = World(dist.get_rank(), size, int(os.environ["LOCAL_RANK"]))
    try:
        yield world
        world.wait()  # one that left early would close what others still listen to
    finally:
        dist.destroy_process_group()
