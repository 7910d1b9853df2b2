"""The C heap of the process: one for all threads, so that memory which is freed is used again.

glibc gives each new thread a heap of its own, up to eight a core, and what a thread freed stays in
its heap. A Kafka client starts threads, and fills their heaps with comments fetched ahead; with
every connection that breaks and every producer that is rebuilt others do, and other heaps grow.
"""

import ctypes
import os
import platform
from typing import Final

M_ARENA_MAX: Final = -8  # of malloc.h: how many heaps there may be


def share_one_heap() -> None:
    """Have all threads that are started from now on share one heap.

    Where the C library is not glibc, or MALLOC_ARENA_MAX says otherwise, nothing is done.
    """
    if platform.libc_ver()[0] == "glibc" and "MALLOC_ARENA_MAX" not in os.environ:
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
