"""Where to train and in which number type, chosen and said why."""

import torch

from trainer.distributed import ALONE, World
from trainer.say import say


def choose_device(
    world: World = ALONE, *, bf16: bool | None = None
) -> tuple[torch.device, torch.dtype]:
    """Choose the device and the number type of its matrix products; weights stay in float32.

    Args:
        world: the processes of the run; each on a machine takes a GPU of its own.
        bf16: what the person asked for; None for bf16 where the device computes in it.
    """
    if torch.cuda.is_available():
        device = torch.device("cuda", world.local_rank)
        torch.cuda.set_device(device)
        fast, where = torch.cuda.is_bf16_supported(), torch.cuda.get_device_name(device)
    else:
        device = torch.device("cpu")
        fast, where = _cpu_has_bf16(), f"CPU, {torch.get_num_threads()} threads"
    chosen = fast if bf16 is None else bf16
    why = ("it has" if fast else "it lacks") if bf16 is None else "as asked for, it has"
    if bf16 is not None and not fast:
        why = "as asked for, it lacks"
    say(f"device: {where}; {'bf16 autocast' if chosen else 'fp32'}: {why} bf16")
    return device, torch.bfloat16 if chosen else torch.float32


def _cpu_has_bf16() -> bool:
    """Say whether the CPU multiplies in bf16; without it is emulated, hundreds of times slower."""
    # there is no public question
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001
