"""What the C library does with memory that tensors and pictures leave.

By default glibc hands large blocks back to the system at once, and whoever needs the same ones again, as the next
training step and the next photo do, has each of their pages zeroed anew.
"""

import ctypes
import os

# From glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_MMAP_MAX = -4

LARGEST_KEPT = 32 << 20  # Bytes: as large as glibc lets it be.
MOST_KEPT = 64 << 20  # Bytes that are free at the end of a heap; each thread has one.


def keep_freed_memory() -> bool:
    """Have the C library keep all freed memory for the next allocation, for the rest of this process.

    Returns False where the C library has no `mallopt`, as those of musl, macOS and Windows have none, or refuses.
    """
    return _set((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1))


def keep_freed_blocks() -> bool:
    """Have the C library keep freed blocks of up to 32 MiB, and not more than 64 MiB, for the rest of this process.

    From a JPEG of 1280 x 720 to its faces, four tenths of the time went into new pages.

    Returns False as `keep_freed_memory` does.
    """
    return _set((M_MMAP_THRESHOLD, LARGEST_KEPT), (M_TRIM_THRESHOLD, MOST_KEPT))


def _set(*options: tuple[int, int]) -> bool:
    # Windows has no library of the process itself.
    mallopt = None if os.name == "nt" else getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(option, value) for option, value in options)
