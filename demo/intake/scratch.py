"""The folder of uploads and of what the page makes: people's photographs, which must not outlive the server.

It is removed when the server ends, and each file in it an hour after it was written. What a server that was killed has
left, the next one removes: a folder is locked for as long as its server lives.
"""

import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data.locks import locked

PREFIX = "ferox-demo-"
NEW_SECONDS = 60  # A folder this new may belong to a server that is about to lock it.


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a new, private folder, and remove it afterwards; first, remove those whose server is gone."""
    remove_stale(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    with locked(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def cleaned(folder: Path, kept: Path, seconds: float, every: float) -> Iterator[None]:
    """Remove files below `folder` that are older than `seconds`, but none below `kept`, every so many seconds."""
    ended = threading.Event()

    def clean() -> None:
        while not ended.wait(every):
            remove_old(folder, kept, time.time() - seconds)

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
    for path in sorted(folder.rglob("*"), reverse=True):  # What is in a folder comes before it.
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


def remove_stale(root: Path) -> None:
    """Remove this user's scratch folders directly inside `root` that no server holds."""
    for folder in root.glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # Its own server, or another one that starts now, has just removed it.
            _remove_if_stale(folder)


def _remove_if_stale(folder: Path) -> None:
    status = folder.lstat()
    is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if not is_own or time.time() - status.st_mtime < NEW_SECONDS:
        return
    with locked(folder) as handle:
        if handle is not None:
            shutil.rmtree(folder, ignore_errors=True)
