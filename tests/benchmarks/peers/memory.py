"""The most memory that a process ever had."""

import re
import resource
from pathlib import Path


def peak_mb(pid: int | str = "self") -> float:
    """Return the peak of a process's resident memory; off Linux of this process alone.

    On Linux not by getrusage: a child's begins at what its parent had.
    """
    status = Path(f"/proc/{pid}/status")
    if status.is_file():
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
        return int(found[1]) / 1024 if found else 0.0  # 0: it has just ended
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS
