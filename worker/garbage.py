"""Python's collector of reference cycles, told what a worker's objects are like.

A window is tens of thousands of objects that live for a second and die by their reference
counts alone. Left as it is, the collector looks through them again and again and finds nothing:
a third of the worker's time.
"""

import gc
from typing import Final

WINDOWS_IN_FLIGHT: Final = 4  # one in each thread, and one that waits
# That the collector counts: a record, its entry, its outcome … 14.5 where a comment is one piece.
OBJECTS_A_RECORD: Final = 25
LEAST: Final = 50_000


def spare_windows(max_messages: int) -> None:
    """Leave what is loaded for good out of the collector's sight, and windows in flight, too.

    It still runs when more than that has piled up, so that cycles do not stay for ever. To be
    called once, when all is loaded.

    Args:
        max_messages: records in a window at most.
    """
    gc.collect()
    gc.freeze()
    _, *older = gc.get_threshold()
    gc.set_threshold(max(LEAST, WINDOWS_IN_FLIGHT * OBJECTS_A_RECORD * max_messages), *older)
