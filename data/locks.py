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
def waited(path: Path) -> Iterator[None]:
    """Hold a file's lock for a block, once no other process or thread holds it; the file is made where there is none.

    The file stays: to remove it would let two hold locks of the same name.
    """
    # Network file systems lock only what is open for writing.
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


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
