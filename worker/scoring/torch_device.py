"""Where torch computes: a GPU in bf16, or a CPU in fp32; or why it cannot, said at the start."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import torch

from schemas.errors import ScoringError, SettingsError
from worker.scoring.hidden_gpu import gpus_are_hidden
from worker.settings import NumberType

GPU_BUDGET: Final = 16_384  # tokens; fills an H100 at hidden size 384 and stays in its L2
CPU_BUDGET: Final = 1_024
GIB: Final = 2**30
ON_CPU: Final = "score on the CPU: TIDEGATE_SCORING__ENGINE=openvino"

# From which compute capability on a card has them, and what to do with one that has not.
SINCE: Final = {
    NumberType.BF16: ((8, 0), f"take a newer GPU (A10, L4, A100 …), or {ON_CPU}"),
    NumberType.FP8: (
        (8, 9),
        "take a newer GPU (L4, H100 …), or set TIDEGATE_SCORING__NUMBER_TYPE=bf16",
    ),
}

_DRIVER: Final = Path("/dev/nvidiactl")  # there as long as NVIDIA's driver is loaded


class Card(NamedTuple):
    """A GPU that CUDA starts on."""

    name: str
    capability: tuple[int, int]
    memory: int  # bytes in all
    free: int  # bytes that nobody had taken yet


class Found(NamedTuple):
    """What a look at the machine gave."""

    card: Card | None
    trouble: str  # why there is no card, in CUDA's words
    driver: bool  # NVIDIA's is loaded
    hidden: bool  # somebody hides the cards from CUDA


CPU_ALONE: Final = Found(None, "", driver=False, hidden=True)  # whatever else is here


class TorchDevice(NamedTuple):
    """A device, the number type in which it computes, and the budget at which it is at its best.

    Its products may be in another number type.
    """

    torch: torch.device
    dtype: torch.dtype
    budget: int
    name: str
    fp8: bool = False

    @property
    def description(self) -> str:
        """Number type and device, for the log."""
        products = " with products in fp8" if self.fp8 else ""
        return f"{str(self.dtype).removeprefix('torch.')}{products} on {self.name}"


def look() -> Found:
    """Look for a GPU; starts CUDA where there is one."""
    card, trouble = None, ""
    try:
        about = torch.cuda.get_device_properties()
        free, memory = torch.cuda.mem_get_info()
        card = Card(about.name, (about.major, about.minor), memory, free)
    except (RuntimeError, AssertionError) as error:  # the latter: torch was built without CUDA
        trouble = str(error).partition("\n")[0]
    return Found(card, trouble, _DRIVER.exists(), gpus_are_hidden())


def choose_device(found: Found, number_type: NumberType = NumberType.BF16) -> TorchDevice:
    """Choose the best device there is.

    Args:
        found: on this machine.
        number_type: of the products.

    Raises:
        SettingsError: a GPU is here, and torch cannot use it: nobody would want to find out from
            a worker that is a hundred times slower. Or it has no fp8, which was asked for.
    """
    fp8 = number_type is NumberType.FP8
    if found.card is None:
        if found.driver and not found.hidden:
            raise SettingsError(
                f"a GPU is here ({_DRIVER}), torch {torch.__version__} cannot start it: "
                f"{found.trouble}",
                f"bring driver and torch together, or {ON_CPU}; hide the GPU from torch with "
                "CUDA_VISIBLE_DEVICES=-1",
            )
        return TorchDevice(torch.device("cpu"), torch.float32, CPU_BUDGET, "CPU", fp8)
    needed, otherwise = SINCE[number_type]
    if found.card.capability < needed:
        has, least = (".".join(map(str, pair)) for pair in (found.card.capability, needed))
        raise SettingsError(
            f"{found.card.name} has compute capability {has}; {number_type} needs {least}",
            otherwise,
        )
    return TorchDevice(torch.device("cuda"), torch.bfloat16, GPU_BUDGET, found.card.name, fp8)


@contextmanager
def starting(
    card: Card | None, budget: int | None = None, otherwise: str = ON_CPU
) -> Iterator[None]:
    """Say what is missing when a model does not start on a GPU.

    Args:
        card: the GPU, if there is one.
        budget: tokens of the largest micro-batch, where memory for it is taken at the start.
        otherwise: what to do if the card cannot compute it.

    Raises:
        ScoringError: it has too little memory, or fails.
    """
    try:
        yield
    except RuntimeError as error:
        if card is None:
            raise
        if not isinstance(error, torch.OutOfMemoryError):
            raise ScoringError(
                f"{card.name}: the model does not start: {error}", otherwise
            ) from error
        free = f"{card.free / GIB:.1f} of {card.memory / GIB:.1f} GiB were free"
        if budget is None:
            what, smaller = "the model does not fit", ""
        else:
            what = f"model and micro-batches of {budget:,} tokens do not fit"
            smaller = f"set TIDEGATE_SCORING__BUDGET below {budget}, "
        raise ScoringError(
            f"{card.name}: {what}: {free}", f"{smaller}free the GPU of others, or {ON_CPU}"
        ) from error
