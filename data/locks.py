"""Locks that the operating system gives back when their process ends, however it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def take(file: IO[str] | int, seconds: float = 0) -> bool:
    """Lock an open file or handle for this process and those that inherit it; False if another one holds it, and still
    does after so many seconds."""
    deadline = time.monotonic() + seconds
    while not _flocked(file, fcntl.LOCK_EX):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True


def is_taken(path: Path) -> bool:
    """Whether anybody holds a file's lock; several may look at once. The file is made where there is none."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        return not _flocked(handle, fcntl.LOCK_SH)
    finally:
        os.close(handle)


def _flocked(file: IO[str] | int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
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
def locked(path: Path, flags: int = os.O_RDONLY, seconds: float = 0) -> Iterator[int | None]:
    """Yield the handle of a file or folder that is locked meanwhile, or None where another one holds its lock, as for
    `take`.

    A child process that is handed the handle keeps the lock for as long as it lives.
    """
    handle = os.open(path, flags, 0o644)
    try:
        yield handle if take(handle, seconds) else None
    finally:
        os.close(handle)
