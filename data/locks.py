"""Locks that the operating system gives back when their process ends, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def take(file: IO[str] | int) -> bool:
    """Lock an open file or handle for this process and those that inherit it; False if another one holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path, flags: int = os.O_RDONLY) -> Iterator[int | None]:
    """Yield the handle of a file or folder that is locked meanwhile, or None where another one holds its lock.

    A child process that is handed the handle keeps the lock for as long as it lives.
    """
    handle = os.open(path, flags, 0o644)
    try:
        yield handle if take(handle) else None
    finally:
        os.close(handle)
