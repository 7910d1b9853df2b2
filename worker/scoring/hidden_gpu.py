"""Whether somebody hides every GPU from CUDA."""

import os
from typing import Final

NONE: Final = frozenset({"", "-1", "NoDevFiles"})  # the last is what Slurm writes


def gpus_are_hidden() -> bool:
    """Say whether CUDA_VISIBLE_DEVICES leaves no card to be seen."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") in NONE
