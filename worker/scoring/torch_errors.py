"""What torch's errors mean for the worker."""

from collections.abc import Callable

import torch

from schemas.errors import ScoringError
from worker.scoring.engine import DeviceMemoryError, Logits


def guarded(description: str, compute: Callable[[], list[Logits]]) -> list[Logits]:
    """Return what `compute` returns.

    Args:
        description: of the engine.
        compute: keeps the tensors of the device in its own frames.

    Raises:
        DeviceMemoryError: the device is out of memory; less of it may do.
        ScoringError: any other error of the device: nothing after it can be trusted.
    """
    try:
        return compute()
    except torch.OutOfMemoryError:
        pass  # its traceback keeps the tensors alive: go on below, outside the handler
    except RuntimeError as error:
        raise ScoringError(f"{description}: {type(error).__name__}") from error
    torch.cuda.empty_cache()
    raise DeviceMemoryError(f"{description}: out of memory")
