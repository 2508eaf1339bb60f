"""Reads FER2013 held as pictures: a folder or its zip with `<part>/<emotion>/<Usage>_<number>.jpg`."""

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.faceset import LABELS, NO_USAGE, SIDE, USAGES, FaceSet, face_set

SUFFIXES = {".jpg", ".jpeg", ".png"}
# A 48x48 grey picture takes 1 to 3 KB; far more than that is something else under its name.
LARGEST_FILE = 1 << 20

Read = Callable[[str], bytes]


def read_folder(path: Path, *, skip_bad_rows: bool = False) -> FaceSet:
    """Read a folder of 48x48 grey pictures, each in a folder named after its emotion.

    Raises:
        InputError: no such pictures are there, or one of them (named) cannot be used.
    """
    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())

    def read(name: str) -> bytes:
        with (path / name).open("rb") as file:
            return file.read(LARGEST_FILE + 1)

    return _read_all(names, read, path.name, skip_bad_rows)


def read_zip(path: Path, *, skip_bad_rows: bool = False) -> FaceSet:
    """Read a zip of such a folder; see `read_folder`."""
    with _open_zip(path) as archive:
        names = sorted(member.filename for member in archive.infolist() if not member.is_dir())

        def read(name: str) -> bytes:
            try:
                with archive.open(name) as file:
                    return file.read(LARGEST_FILE + 1)
            except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
                raise InputError(
                    f"{path.name}: {name} cannot be unpacked ({error}); expected a whole zip; fetch it again"
                ) from error

        return _read_all(names, read, path.name, skip_bad_rows)


@contextmanager
def _open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(
            f"{path.name} is no whole zip ({error}); expected FER2013's image folder; fetch it again"
        ) from error
    with archive:
        yield archive


def _read_all(names: list[str], read: Read, source: str, skip_bad_rows: bool) -> FaceSet:
    # The names themselves are kept for reading: a path is not spelt as its name (`./train`) in a zip.
    wanted = {name: path for name in names if _is_face(path := PurePosixPath(name))}
    if not wanted:
        raise InputError(
            f"{source} holds no pictures in folders named {', '.join(LABELS)}; "
            "expected train/<emotion>/*.jpg and test/<emotion>/*.jpg"
        )
    pixels = np.empty((len(wanted), SIDE, SIDE), np.uint8)
    kept: list[int] = []
    for place, name in enumerate(wanted):
        try:
            pixels[place] = decode(read(name), f"{source}: {name}")
            kept.append(place)
        except InputError:
            if not skip_bad_rows:
                raise
    if not kept:
        raise InputError(f"{source}: none of its {len(wanted)} pictures can be used; expected 48x48 grey JPEG or PNG")
    paths = list(wanted.values())
    faces = [paths[place] for place in kept]
    return face_set(
        pixels[kept],
        np.array([LABELS.index(face.parent.name.lower()) for face in faces], np.uint8),
        np.array([_usage(face) for face in faces], np.uint8),
        np.array(kept, np.int32) + 1,
        source=source,
        skipped=len(wanted) - len(kept),
    )


def decode(content: bytes, name: str) -> NDArray[np.uint8]:
    """Return a 48x48 JPEG or PNG as uint8[48, 48], grey; an `InputError` names what else it is."""
    from PIL import Image, UnidentifiedImageError

    from data.modes import to_rgb

    remedy = "mend it, or leave out all such pictures with --skip-bad-rows"
    if len(content) > LARGEST_FILE:
        raise InputError(f"{name} is over {LARGEST_FILE} bytes; expected a 48x48 picture; {remedy}")
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as picture:
            if picture.size != (SIDE, SIDE):
                width, height = picture.size
                raise InputError(f"{name} has {width}x{height} pixels, expected {SIDE}x{SIDE}; {remedy}")
            return np.asarray(to_rgb(picture, name).convert("L"))
    except UnidentifiedImageError:
        raise InputError(f"{name} is no JPEG or PNG picture ({len(content)} bytes); {remedy}") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{name} cannot be decoded ({error}); {remedy}") from error


def _is_face(name: PurePosixPath) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.parts)
    return name.suffix.lower() in SUFFIXES and name.parent.name.lower() in LABELS and not hidden


def _usage(name: PurePosixPath) -> int:
    prefix = name.name.split("_")[0]
    if prefix in USAGES:
        return USAGES.index(prefix)
    # "train" can only be Training; "test" may be either of the two test parts, so it stays unknown.
    return USAGES.index("Training") if name.parent.parent.name.lower() == "train" else NO_USAGE
