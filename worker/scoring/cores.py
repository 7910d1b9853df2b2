"""How many cores there are for us."""

import os


def usable_cores() -> int:
    """Count the cores that this process may run on; a container sees more than it has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        return os.cpu_count() or 1
