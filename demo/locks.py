"""Locks that the operating system gives back when their process ends, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, flags: int = os.O_RDONLY) -> Iterator[int | None]:
    """Yield the handle of a file or folder that is locked meanwhile, or None where another one holds its lock.

    A child process that is handed the handle keeps the lock for as long as it lives.
    """
    handle = os.open(path, flags, 0o644)
    try:
        yield handle if _taken(handle) else None
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
