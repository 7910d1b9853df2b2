"""Whether this CPU multiplies bytes and sums them up in one instruction, as int8 engines like."""

import platform
from pathlib import Path
from typing import Final

CPU_INFO: Final = Path("/proc/cpuinfo")
INSTRUCTIONS: Final = frozenset({"avx512_vnni", "avx_vnni"})


def lacks_vnni() -> bool:
    """Say whether this is an x86 CPU that is known to have no VNNI; only Linux tells."""
    if platform.machine() != "x86_64" or not CPU_INFO.is_file():
        return False
    lines = CPU_INFO.read_text(encoding="ascii", errors="replace").splitlines()
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return bool(flags) and INSTRUCTIONS.isdisjoint(flags)
