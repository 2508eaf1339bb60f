"""Many pictures at once: files, and what is in zips, each read alone and only when its turn comes.

A zip is never unpacked to disk, so that the names in it decide nothing; what it claims of its sizes is checked before
and while it is read.
"""

import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from data.errors import InputError, printable
from data.leftout import Tally, unread
from demo.intake.uploads import Upload, gone
from inference.photos.pictures import MAX_BYTES, SUFFIXES, file_name

MOST_PICTURES = 10_000
MOST_ZIP_BYTES = 200_000_000
MOST_EXPANDED = 2_000_000_000
MOST_RATIO = 200  # Bytes out for one byte in; pictures, already compressed, expand by 1 to 10.
# Bytes of a zip's table of contents; a file takes about 100 of them, and four times as many as Python's object.
MOST_DIRECTORY = 16_000_000
ZIP_BEGINNING = b"PK"
# What a damaged, encrypted or unknown member may end in; MemoryError for a dictionary as large as it claims to need.
UNPACKING_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
)
UTF8_NAME = 0x800  # The bit that says that a member's name is UTF-8 (APPNOTE 4.4.4).
RATIO_FROM = 1_000_000  # Bytes: below, a picture of one colour may well shrink by more.


@dataclass(frozen=True)
class Source:
    """A picture to come: its name, and what reads its content, raising an `InputError` where that fails."""

    name: str
    read: Callable[[], bytes]


@contextmanager
def sources(files: Sequence[Upload], left_out: Tally) -> Iterator[list[Source]]:
    """Give the pictures among uploaded files, with those in zips in the place of their zip, to be read in their order.

    What else is in a zip is counted into `left_out`. A zip that is damaged, too large, or holds no pictures is one that
    cannot be read.

    Raises:
        InputError: there are too many pictures.
    """
    zips = _OpenZip()
    try:
        pictures: list[Source] = []
        for file in files:
            if _is_zip(file):
                pictures += _in_zip_or_refused(file, zips, left_out)
            else:
                pictures.append(Source(file.name, _reader(file)))
            if len(pictures) > MOST_PICTURES:
                raise InputError(f"there are more than {MOST_PICTURES:,} pictures: expected no more; give fewer")
        yield pictures
    finally:
        zips.close()


class _TooLong(Exception):
    """So much would have to be read at once that it could fill the memory."""


class _Bounded(io.BufferedReader):
    """A file that refuses to read at once what would fill the memory.

    Python reads a zip's whole table of contents on opening, as long as the file says that it is. Looking for what the
    file says would have to find the same record as Python does.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_DIRECTORY:
            raise _TooLong(f"{size} bytes")
        return super().read(size)


class _OpenZip:
    """The one zip that is open, so that its table of contents is read once and not for each picture."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._file: _Bounded | None = None
        self._archive: zipfile.ZipFile | None = None

    def archive(self, path: Path) -> zipfile.ZipFile:
        """Return the zip at `path`, opened if it is not the one that is; raises what opening it does."""
        if self._archive is None or self._path != path:
            self.close()
            self._path, self._file = path, _Bounded(io.FileIO(path))
            self._archive = zipfile.ZipFile(self._file)
        return self._archive

    def close(self) -> None:
        """Close what is open."""
        if self._file is not None:
            self._file.close()
        self._file = self._archive = None


def _is_zip(file: Upload) -> bool:
    try:
        with file.path.open("rb") as content:
            # Python finds a zip behind anything, and a picture with one behind it is a picture.
            return content.read(len(ZIP_BEGINNING)) == ZIP_BEGINNING and zipfile.is_zipfile(content)
    except OSError:
        return False  # Its reader says what is wrong with it.


def _reader(file: Upload) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with file.path.open("rb") as content:
                return content.read(MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise gone(file.name) from error
        except OSError as error:
            raise InputError(
                f"{file.name} cannot be read ({error.strerror}): expected a readable file; send it again"
            ) from error

    return read


def _in_zip_or_refused(file: Upload, zips: _OpenZip, left_out: Tally) -> list[Source]:
    try:
        return _in_zip(file, zips, left_out)
    except InputError as error:
        return [Source(file.name, _refuser(error))]


def _refuser(error: InputError) -> Callable[[], bytes]:
    def read() -> bytes:
        raise error

    return read


def _in_zip(file: Upload, zips: _OpenZip, left_out: Tally) -> list[Source]:
    try:
        if (size := file.path.stat().st_size) > MOST_ZIP_BYTES:
            raise InputError(f"{file.name} has {size / 1e6:.0f} MB: at most 200 MB are taken; divide it")
        members = [member for member in zips.archive(file.path).infolist() if _is_picture(member, left_out)]
    except FileNotFoundError as error:
        raise gone(file.name) from error
    except _TooLong as error:
        raise InputError(f"{file.name} lists too many files: at most {MOST_PICTURES:,} are taken; divide it") from error
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"{file.name} is a damaged zip: expected a whole one; make it anew") from error
    if not members:
        raise InputError(f"{file.name} holds no pictures: expected names ending in {', '.join(SUFFIXES)}; add some")
    if len(members) > MOST_PICTURES:
        raise InputError(f"{file.name} holds {len(members):,} pictures: at most {MOST_PICTURES:,} are taken; divide it")
    if (expanded := sum(member.file_size for member in members)) > MOST_EXPANDED:
        raise InputError(f"{file.name} unpacks to {expanded / 1e9:.1f} GB: at most 2 GB are taken; divide it")
    return [Source(_shown_name(member), _member_reader(file, member, zips)) for member in members]


def _is_picture(member: zipfile.ZipInfo, left_out: Tally) -> bool:
    if member.is_dir():
        return False
    names = member.filename, _shown_name(member)
    reason = next(filter(None, (unread(PurePosixPath(name), SUFFIXES) for name in names)), "")
    if reason:
        left_out.add(reason, names[1])
    return not reason


def _shown_name(member: zipfile.ZipInfo) -> str:
    """Return a member's name as its writer meant it; its `filename` is what opens it."""
    if member.flag_bits & UTF8_NAME:
        return member.filename
    # Python reads such names as cp437, from which the bytes come back. macOS writes UTF-8, Windows the encoding of its
    # own language, which for Simplified Chinese is a part of GB18030.
    for encoding in ("utf-8", "gb18030"):
        with suppress(UnicodeError):
            return member.filename.encode("cp437").decode(encoding)
    return member.filename


def _member_reader(file: Upload, member: zipfile.ZipInfo, zips: _OpenZip) -> Callable[[], bytes]:
    def read() -> bytes:
        name = printable(file_name(_shown_name(member)))
        if member.file_size > RATIO_FROM and member.file_size > MOST_RATIO * member.compress_size:
            raise InputError(f"{name} expands {MOST_RATIO} times and more: it is not opened; save it anew")
        try:
            with zips.archive(file.path).open(member) as content:
                # One byte more than is allowed says that there is too much, whatever the zip claims.
                return content.read(MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise gone(file.name) from error
        except UNPACKING_ERRORS as error:
            raise InputError(f"{name} cannot be unpacked: expected a whole, open zip; make it anew") from error

    return read
