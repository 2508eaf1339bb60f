"""Keeps decoded faces as one memory-mappable file, so that a source is parsed once and not every time.

A cached file is named after the source's path, size, times and inode: a source that has changed in any way is
simply not found in the cache, and what it replaces is removed.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from data.errors import InputError
from data.faceset import RECORD, FaceSet
from data.files import remove_temporaries, whole_file, write_json
from data.leftout import LeftOut, Tally
from data.terminal import warn
from data.walk import files_below

# Raise it when `RECORD`, the canonical order or a reader's meaning changes.
FORMAT = 3
# Seconds after which nobody is still writing a temporary file of this shared folder.
ABANDONED = 3600


def cache_folder() -> Path:
    """Return the folder of cached faces: `FEROX_CACHE`, or `ferox` in the user's cache folder.

    Raises:
        OSError: the user has no home folder.
    """
    chosen = os.environ.get("FEROX_CACHE")
    if chosen:
        return Path(chosen)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ferox"
    except RuntimeError as error:  # Neither HOME nor an entry for this user.
        raise FileNotFoundError("this user has no home folder") from error


def cached(name: str, state: object, read: Callable[[], FaceSet], source: str) -> FaceSet:
    """Return the faces that `read` would return, from the cache where it has them.

    Args:
        name: what identifies the source through all its changes, such as its absolute path.
        state: what changes whenever the source's content does; anything that JSON can hold.
        read: reads the source.
        source: the source's name for messages and records.
    """
    stem = _hash([FORMAT, name])
    prefix = f"{stem}-{_hash([FORMAT, state])}-"
    try:
        folder = cache_folder()
    except OSError as error:
        _warn(error)
        return read()
    for file in sorted(folder.glob(f"{prefix}*.npy")):
        records, left_out = _open(file), _left_out(file.with_suffix(".json"))
        if records is not None and left_out is not None:
            return FaceSet(records, source, int(file.stem.removeprefix(prefix)), left_out)
    faces = read()
    try:
        remove_temporaries(folder, ABANDONED)
        for stale in [*folder.glob(f"{stem}-*.npy"), *folder.glob(f"{stem}-*.json")]:
            stale.unlink(missing_ok=True)
        write_json(folder / f"{prefix}{faces.skipped}.json", [asdict(entry) for entry in faces.left_out])
        with whole_file(folder / f"{prefix}{faces.skipped}.npy") as whole:
            np.save(whole, faces.records)
    except OSError as error:
        _warn(error)
    return faces


def _warn(error: OSError) -> None:
    warn(f"faces are not cached ({error}); set FEROX_CACHE to a writable folder")


def source_state(path: Path) -> list[object]:
    """Return what changes whenever a file, or any file below a folder, does."""
    if path.is_dir():
        left_out = Tally()
        files = [[name, *_stat(path / name)] for name in files_below(path, left_out)]
        return [*files, left_out.found]
    return _stat(path)


def _stat(path: Path) -> list[object]:
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path") from error
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _open(file: Path) -> np.memmap | None:
    try:
        records = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return records if records.dtype == RECORD else None


def _left_out(file: Path) -> tuple[LeftOut, ...] | None:
    try:
        content = json.loads(file.read_text())
        return tuple(LeftOut(entry["reason"], entry["count"], tuple(entry["examples"])) for entry in content)
    except (OSError, ValueError, TypeError, KeyError):
        return None  # Of a cache that somebody has touched: it is made anew.


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
