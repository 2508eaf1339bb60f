"""Folders for what must not outlive its process: work in progress, people's photographs.

Such a folder is removed when its process ends. What a process that was killed has left, the next one of its kind
removes: a folder is locked for as long as its process lives.
"""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data.locks import locked

NEW_SECONDS = 60  # A folder this new may belong to a process that is about to lock it.


@contextmanager
def scratch_folder(prefix: str, root: Path | None = None) -> Iterator[Path]:
    """Yield a new, private folder whose name begins with `prefix`, and remove it afterwards.

    It lies in `root`, by default where the system keeps temporary files.

    First, those of the same prefix are removed whose process is gone.
    """
    root = root or Path(tempfile.gettempdir())
    remove_stale(root, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
    with locked(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_stale(root: Path, prefix: str) -> None:
    """Remove this user's scratch folders of a prefix directly inside `root` that no process holds."""
    for folder in root.glob(f"{prefix}*"):
        with suppress(FileNotFoundError):  # Its own process, or another one that starts now, has just removed it.
            _remove_if_stale(folder)


def _remove_if_stale(folder: Path) -> None:
    status = folder.lstat()
    is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if not is_own or time.time() - status.st_mtime < NEW_SECONDS:
        return
    with locked(folder) as handle:
        if handle is not None:
            shutil.rmtree(folder, ignore_errors=True)
