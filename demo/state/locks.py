"""Locks that the operating system gives back when their process ends, however it ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.run import take


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
