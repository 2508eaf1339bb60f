"""Files that are either whole or absent, whatever happens while they are written."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

TEMPORARY_PREFIX = ".partial-"
# Read once, here: it can only be read by setting it, which two threads at once could leave at 0 for good.
UMASK = os.umask(0)
os.umask(UMASK)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; it becomes `path` only if the block succeeds.

    The bytes reach the disk before the name does, so that neither a kill nor a power cut leaves
    half a file under `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        # mkstemp makes files private to the user; what we publish has the ordinary permissions.
        temporary.chmod(0o666 & ~UMASK)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` as strict JSON (no NaN or infinity), whole or not at all."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def sha256(path: Path) -> str:
    """Return the sha256 of a file's content as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_temporaries(folder: Path, seconds: float = 0) -> None:
    """Remove what a killed process left half written directly inside `folder`.

    Args:
        folder: where to look.
        seconds: how long nothing has been written to it; above 0 where another process may be writing.
    """
    for stale in folder.glob(f"{TEMPORARY_PREFIX}*"):
        with suppress(FileNotFoundError):
            if time.time() - stale.stat().st_mtime >= seconds:
                stale.unlink()
