"""What the C library does with memory that tensors leave."""

import ctypes

# From glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Have the C library keep freed memory for the next allocation, for the rest of this process.

    By default glibc hands blocks of 32 MiB and more back to the system at once, and a training step, which needs the
    same ones again, has each of their pages zeroed anew. Returns False where the C library has no `mallopt`, as musl
    and macOS have none, or refuses.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))
