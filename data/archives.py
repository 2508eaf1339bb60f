"""Folders, zips and tars as one thing: files by their paths, each read alone and within limits."""

import bz2
import gzip
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from data.errors import InputError
from data.leftout import Tally
from data.walk import files_below

# What a compressed tar may unpack to, on the disk, and how many files a zip or tar may list.
LARGEST_TAR = 4 << 30
MOST_MEMBERS = 2_000_000
# By a file's first bytes.
COMPRESSED: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
UNPACKING = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)


@dataclass(frozen=True)
class Archive:
    """Files that lie together.

    Attributes:
        source: what the whole is called.
        paths: of all regular files, with slashes, sorted.
        opened: opens the file of a path for reading; it is closed by the caller.
        left_out: counts what is no regular file, and later what is not read.
    """

    source: str
    paths: list[str]
    opened: Callable[[str], IO[bytes]]
    left_out: Tally

    def read(self, path: str, size: int) -> bytes:
        """Return the first `size` bytes of a file; an `InputError` where it cannot be unpacked."""
        with self.open(path) as file:
            return file.read(size)

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """Open a file of the archive; what goes wrong while it is unpacked is an `InputError`."""
        try:
            with self.opened(path) as file:
                yield file
        except UNPACKING as error:
            raise InputError(
                f"{self.source}: {path} cannot be unpacked ({error}); expected a whole archive; fetch it again"
            ) from error


@contextmanager
def open_archive(path: Path) -> Iterator[Archive | None]:
    """Open a folder, a zip or a tar, told by their content; None where it is another file.

    Raises:
        InputError: it is broken off, unpacks to more than 4 GiB, or a folder cannot be looked into.
    """
    start = _start(path)
    if path.is_dir():
        left_out = Tally()
        yield Archive(path.name, files_below(path, left_out), lambda name: (path / name).open("rb"), left_out)
    elif start.startswith((b"PK\x03\x04", b"PK\x05\x06")) or (
        path.suffix.lower() == ".zip" and zipfile.is_zipfile(path)
    ):
        with _whole(path, "zip"), zipfile.ZipFile(path) as archive:
            yield _zip(archive, path.name)
    elif opener := next((opener for magic, opener in COMPRESSED.items() if start.startswith(magic)), None):
        with _unpacked(path, opener) as file:
            if tarfile.is_tarfile(file):
                file.seek(0)
                with _whole(path, "tar"), tarfile.open(fileobj=file, mode="r:") as tar:
                    yield _tar(tar, path.name)
            else:
                # A compressed table.
                file.seek(0)
                yield Archive(path.name, [f"{path.name}.csv"], lambda name: file, Tally())
    elif start and tarfile.is_tarfile(path):
        with _whole(path, "tar"), tarfile.open(path, mode="r:") as tar:
            yield _tar(tar, path.name)
    else:
        yield None


def _start(path: Path) -> bytes:
    # A truncated zip has lost the directory at its end that `is_zipfile` looks for, not its first bytes.
    if path.is_dir():
        return b""
    with path.open("rb") as file:
        return file.read(6)


@contextmanager
def _whole(path: Path, kind: str) -> Iterator[None]:
    """Say that an archive is broken where opening or listing it fails; what its reader raises is left alone."""
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path.name} is no whole {kind} ({error}); expected FER2013's table or its image folder; fetch it again"
        ) from error


@contextmanager
def _unpacked(path: Path, opener: Callable[[Path], Any]) -> Iterator[BinaryIO]:
    """Unpack a compressed file beside everybody's way, since a tar in it is read in another order than it lies."""
    with tempfile.TemporaryFile() as file:
        try:
            with opener(path) as packed:
                while block := packed.read(1 << 20):
                    file.write(block)
                    if file.tell() > LARGEST_TAR:
                        raise InputError(
                            f"{path.name} unpacks to over {LARGEST_TAR >> 30} GiB; expected FER2013's table or its "
                            "image folder, 0.3 GB; check what it is"
                        )
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
            raise InputError(f"{path.name} is cut off or damaged ({error}); fetch it again") from error
        file.seek(0)
        yield file


def _zip(archive: zipfile.ZipFile, source: str) -> Archive:
    members: dict[str, zipfile.ZipInfo] = {}
    left_out = Tally()
    for member in archive.infolist():
        # Older .NET and Java programs on Windows write backslashes.
        path = member.filename.replace("\\", "/") if "/" not in member.filename else member.filename
        if path.endswith("/"):
            continue
        if path in members:
            left_out.add("twice under one name", path)
        members[path] = member
    _check_count(source, len(members))
    return Archive(source, sorted(members), lambda name: archive.open(members[name]), left_out)


def _tar(archive: tarfile.TarFile, source: str) -> Archive:
    members: dict[str, tarfile.TarInfo] = {}
    left_out = Tally()
    for member in archive:
        if member.isdir():
            continue
        if not member.isreg():
            left_out.add("a link or device in a tar", member.name)
            continue
        if member.name in members:
            left_out.add("twice under one name", member.name)
        members[member.name] = member
        _check_count(source, len(members))
    _check_end(archive)

    def opened(name: str) -> IO[bytes]:
        file = archive.extractfile(members[name])
        if file is None:
            raise tarfile.ReadError(f"{name} is no regular file")
        return file

    return Archive(source, sorted(members), opened, left_out)


def _check_end(archive: tarfile.TarFile) -> None:
    """Raise `ReadError` where a tar does not end as it should: `tarfile` takes what was cut off for its end."""
    file = archive.fileobj
    if file is None:
        raise tarfile.ReadError("it is closed")
    file.seek(archive.offset)
    if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
        raise tarfile.ReadError("its end is missing")


def _check_count(source: str, count: int) -> None:
    if count > MOST_MEMBERS:
        raise InputError(f"{source} lists over {MOST_MEMBERS:,} files; expected FER2013's 35,887; check what it is")
