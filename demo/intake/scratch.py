"""The folder of uploads and of what the page makes: people's photographs, which must not outlive the server.

It is removed when the server ends. What a server that was killed has left, the next one removes: a folder is locked for
as long as its server lives.
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
