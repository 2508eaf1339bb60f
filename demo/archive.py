"""Many pictures at once: files, and what is in zips, each read alone and only when its turn comes.

A zip is never unpacked to disk, so that the names in it decide nothing; what it claims of its sizes is checked before
and while it is read.
"""

import lzma
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from data.errors import InputError
from demo.uploads import Upload, gone
from inference.pictures import MAX_BYTES, SUFFIXES, file_name, printable

MOST_PICTURES = 10_000
MOST_ZIP_BYTES = 200_000_000
MOST_EXPANDED = 2_000_000_000
MOST_RATIO = 200  # Bytes out for one byte in; pictures, already compressed, expand by 1 to 10.
MOST_DIRECTORY = 16_000_000  # Bytes of a zip's table of contents; a file takes about 100.
# A zip ends with this record and a comment (PKWARE's APPNOTE 4.3.16); a 64-bit one has a locator of 20 bytes before it.
END_RECORD, ZIP64_LOCATOR = b"PK\5\6", b"PK\6\7"
END_REACH = 22 + 65_535 + 20
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


def sources(files: Sequence[Upload]) -> list[Source]:
    """Return the pictures among uploaded files, with those in zips in the place of their zip.

    A zip that is damaged, too large, or holds no pictures is one that cannot be read.

    Raises:
        InputError: there are too many pictures.
    """
    found: list[Source] = []
    for file in files:
        if _is_zip(file):
            found += _in_zip_or_refused(file)
        else:
            found.append(Source(file.name, _reader(file)))
    if len(found) > MOST_PICTURES:
        raise InputError(f"there are {len(found):,} pictures: at most {MOST_PICTURES:,} are taken; give fewer")
    return found


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


def _in_zip_or_refused(file: Upload) -> list[Source]:
    try:
        return _in_zip(file)
    except InputError as error:
        return [Source(file.name, _refuser(error))]


def _refuser(error: InputError) -> Callable[[], bytes]:
    def read() -> bytes:
        raise error

    return read


def _in_zip(file: Upload) -> list[Source]:
    try:
        if (size := file.path.stat().st_size) > MOST_ZIP_BYTES:
            raise InputError(f"{file.name} has {size / 1e6:.0f} MB: at most 200 MB are taken; divide it")
        _check_directory(file)
        with zipfile.ZipFile(file.path) as archive:
            members = [member for member in archive.infolist() if _is_picture(member)]
    except FileNotFoundError as error:
        raise gone(file.name) from error
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"{file.name} is a damaged zip: expected a whole one; make it anew") from error
    if not members:
        raise InputError(f"{file.name} holds no pictures: expected names ending in {', '.join(SUFFIXES)}; add some")
    if (expanded := sum(member.file_size for member in members)) > MOST_EXPANDED:
        raise InputError(f"{file.name} unpacks to {expanded / 1e9:.1f} GB: at most 2 GB are taken; divide it")
    return [Source(_shown_name(member), _member_reader(file, member)) for member in members]


def _check_directory(file: Upload) -> None:
    """Refuse a table of contents that would fill the memory: Python reads all of it on opening."""
    with file.path.open("rb") as content:
        content.seek(max(0, file.path.stat().st_size - END_REACH))
        tail = content.read()
    place = tail.rfind(END_RECORD)
    size = int.from_bytes(tail[place + 12 : place + 16], "little")
    if place < 0 or size > MOST_DIRECTORY or tail[: max(0, place)].endswith(ZIP64_LOCATOR, 0, max(0, place - 16)):
        raise InputError(f"{file.name} lists too many files: at most {MOST_PICTURES:,} are taken; divide it")


def _is_picture(member: zipfile.ZipInfo) -> bool:
    return not member.is_dir() and _names_picture(member.filename) and _names_picture(_shown_name(member))


def _names_picture(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not hidden and path.suffix.lower() in SUFFIXES


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


def _member_reader(file: Upload, member: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        name = printable(file_name(_shown_name(member)))
        if member.file_size > RATIO_FROM and member.file_size > MOST_RATIO * member.compress_size:
            raise InputError(f"{name} expands {MOST_RATIO} times and more: it is not opened; save it anew")
        try:
            with zipfile.ZipFile(file.path) as archive, archive.open(member) as content:
                # One byte more than is allowed says that there is too much, whatever the zip claims.
                return content.read(MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise gone(file.name) from error
        except UNPACKING_ERRORS as error:
            raise InputError(f"{name} cannot be unpacked: expected a whole, open zip; make it anew") from error

    return read
