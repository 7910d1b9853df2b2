"""What the figures were measured on: the processor, its instructions, memory, libraries, commit."""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import psutil

from worker.scoring.cores import usable_cores
from worker.scoring.vnni import INSTRUCTIONS as VNNI

# As Linux names them, and as people do.
INSTRUCTIONS: Final = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx512_bf16": "AVX-512 bf16",
    "amx_int8": "AMX int8",
    "amx_bf16": "AMX bf16",
}
CPUINFO: Final = Path("/proc/cpuinfo")


LIBRARIES: Final = (
    *("confluent_kafka", "numpy", "onnxruntime", "openvino"),
    *("tokenizers", "torch", "transformers"),
)


def machine() -> dict[str, Any]:
    """Describe the processor, the memory and what runs on them."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - whichever git is on the path
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "commit": commit.stdout.strip() or "unknown",
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES if find_spec(name)},
        "cpu": _field("model name") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "instructions": [name for flag, name in INSTRUCTIONS.items() if flag in _flags()],
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
    }


def has_vnni() -> bool:
    """Say whether the processor multiplies int8 without the risk of an overflow."""
    return bool(VNNI & _flags())


def has_bf16() -> bool:
    """Say whether it computes in bf16; elsewhere that is hundreds of times slower."""
    return bool({"avx512_bf16", "amx_bf16"} & _flags())


def _flags() -> set[str]:
    return set(_field("flags").split())


def _field(name: str) -> str:
    if not CPUINFO.is_file():
        return ""
    found = re.search(rf"^{name}\s*: (.*)$", CPUINFO.read_text(), re.MULTILINE)
    return found[1] if found else ""
