"""Removes uploads and what the page makes of them when they are old: people's photographs, which must not be kept."""

import os
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def cleaned(folder: Path, kept: Path, seconds: float, every: float) -> Iterator[None]:
    """Remove files below `folder` that are older than `seconds`, but none below `kept`, every so many seconds."""
    ended = threading.Event()

    def clean() -> None:
        while not ended.wait(every):
            try:
                remove_old(folder, kept, time.time() - seconds)
            except OSError as error:
                print(f"files that are too old to keep cannot be removed: {error.strerror}", file=sys.stderr)

    cleaner = threading.Thread(target=clean, name="cleaner", daemon=True)
    cleaner.start()
    try:
        yield
    finally:
        ended.set()
        cleaner.join()


def remove_old(folder: Path, kept: Path, before: float) -> None:
    """Remove files below `folder` that were last written or moved before this time (seconds since 1970), and folders
    that this leaves empty; none below `kept`."""
    for path in _below(folder):
        if path.is_relative_to(kept):
            continue
        with suppress(FileNotFoundError):  # Moved into its place, or removed, meanwhile.
            status = path.lstat()
            if status.st_ctime >= before:
                continue
            if not stat.S_ISDIR(status.st_mode):
                path.unlink()
            elif not any(path.iterdir()):
                with suppress(OSError):  # Something has been written into it meanwhile.
                    path.rmdir()


def _below(folder: Path) -> Iterator[Path]:
    """Yield what is below a folder, what is in one before the folder itself; one that vanishes meanwhile is empty."""
    for parent, folders, files in os.walk(folder, topdown=False):
        yield from (Path(parent, name) for name in (*files, *folders))
