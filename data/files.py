"""Files that are either whole or absent, whatever happens while they are written."""

import hashlib
import io
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

TEMPORARY_PREFIX = ".partial-"
# Read once, here: it can only be read by setting it, which two threads at once could leave at 0 for good.
UMASK = os.umask(0)
os.umask(UMASK)


class _Sink(io.RawIOBase):
    """Writes to a file and keeps the first error: libraries put their own in its place, or none (torch, zipfile).

    It has no `fileno`, with which NumPy and Pillow would write past it.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.failure: OSError | None = None

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, content: "Buffer") -> int:
        try:
            return self._file.write(content)
        except OSError as error:
            self.failure = self.failure or error
            raise

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write to; it becomes `path` only if the block succeeds.

    The bytes reach the disk before the name does, so that neither a kill nor a power cut leaves half a file under
    `path`.

    Raises:
        OSError: it cannot be written, whatever a library in the block made of that; its `filename` is `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _naming(path):
        handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=path.suffix, dir=path.parent)
    temporary = Path(name)
    try:
        with io.FileIO(handle, "w") as file:
            yield from _written(file, path)
            with _naming(path):
                os.fsync(handle)
                # mkstemp makes files private to the user; what we publish has the ordinary permissions.
                os.fchmod(handle, 0o666 & ~UMASK)
        with _naming(path):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path, for what writes by name alone; it becomes `path` only if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _naming(path):
        handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=path.suffix, dir=path.parent)
    temporary = Path(name)
    try:
        yield temporary
        with _naming(path):
            os.fsync(handle)
            os.fchmod(handle, 0o666 & ~UMASK)
            temporary.replace(path)
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)


def _written(file: io.FileIO, path: Path) -> Iterator[BinaryIO]:
    """Yield a buffered file over another one; afterwards raise what went wrong below it, before anything else."""
    sink = _Sink(file)
    try:
        with io.BufferedWriter(sink) as buffered:
            yield buffered
    except Exception as error:
        if sink.failure is None:
            raise
        with _naming(path):
            raise sink.failure from (None if error is sink.failure else error)
    if sink.failure is not None:
        with _naming(path):
            raise sink.failure


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Have errors say the file that was asked for: nobody knows the temporary one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with whole_file(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` as strict JSON (no NaN or infinity), whole or not at all."""
    write_text(path, as_json(content))


def as_json(content: Any) -> str:
    """Return `content` as the text of a JSON file, strict: no NaN or infinity."""
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


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
