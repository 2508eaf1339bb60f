"""Reads FER2013 held as pictures, in a folder, zip or tar, as `<part>/<emotion>/<Usage>_<number>.jpg`."""

import io
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from data.archives import Archive
from data.classes import SKIP, SURE, ClassNames, unknown_classes
from data.errors import InputError, printable
from data.faceset import LABELS, NO_USAGE, SIDE, USAGES, FaceSet, face_set
from data.leftout import JPEG_SUFFIXES, sentence, unread

SUFFIXES = (*JPEG_SUFFIXES, ".png")
# Folders that say which official part a face belongs to, and those that may be either of the two test parts.
PARTS = {
    **dict.fromkeys(("train", "training"), "Training"),
    **dict.fromkeys(("validation", "valid", "val", "publictest"), "PublicTest"),
    "privatetest": "PrivateTest",
}
TEST = ("test", "testing")
# A 48x48 grey picture takes 1 to 3 KB; far more than that is something else under its name.
LARGEST_FILE = 1 << 20


def read_pictures(archive: Archive, classes: ClassNames = SURE, *, skip_bad_rows: bool = False) -> FaceSet:
    """Read 48x48 grey pictures, each in a folder named after its emotion.

    What is not read is counted in `FaceSet.left_out`: hidden files, other endings, pictures in no folder of a class,
    classes that `classes` skips, links that lead nowhere.

    Raises:
        InputError: no such pictures are there, a folder of them means no emotion for sure, or a picture (named) cannot
            be used.
    """
    wanted = _faces(archive, classes)
    pixels = np.empty((len(wanted), SIDE, SIDE), np.uint8)
    readable: list[int] = []
    for index, face in enumerate(wanted):
        name = str(face.path)
        try:
            pixels[index] = decode(archive.read(face.name, LARGEST_FILE + 1), f"{archive.source}: {name}")
            readable.append(index)
        except InputError:
            if not skip_bad_rows:
                raise
            archive.left_out.add("cannot be used", name)
    if not readable:
        raise InputError(
            f"{archive.source}: none of its {len(wanted)} pictures can be used; expected 48x48 grey JPEG or PNG"
        )
    faces = [wanted[index] for index in readable]
    usages = _usages([face.path for face in faces])
    return face_set(
        pixels[readable],
        np.array([LABELS.index(face.label) for face in faces], np.uint8),
        np.array(usages, np.uint8),
        np.array(readable, np.int32) + 1,
        source=archive.source,
        skipped=len(wanted) - len(readable),
        left_out=archive.left_out.sorted(),
    )


@dataclass(frozen=True)
class _Face:
    """A picture of a face: the name that it is read by, its path as folders, and its label."""

    name: str
    path: PurePosixPath
    label: str


def _faces(archive: Archive, classes: ClassNames) -> list[_Face]:
    """Return the pictures of faces in an archive; what is none is counted, and a class that means nothing refused."""
    source, left_out = archive.source, archive.left_out
    faces: list[_Face] = []
    unknown: Counter[str] = Counter()
    folders: set[str] = set()
    for name in archive.paths:
        # The names themselves are kept for reading: a path is not spelt as its name (`./train`) in a zip.
        path = PurePosixPath(name)
        reason, folder = unread(path, SUFFIXES), path.parent.name
        label = classes.label(folder)
        folders.add(folder.lower())
        if reason:
            left_out.add(reason, name)
        elif label == SKIP:
            left_out.add(f"of the class {printable(folder)}, skipped as --classes says", name)
        elif label:
            faces.append(_Face(name, path, label))
        elif folder.lower() in ("", *PARTS, *TEST):
            left_out.add("in no folder of a class", name)
        else:
            unknown[folder] += 1
    if unknown:
        raise unknown_classes(source, unknown)
    if missing := [name for name, _ in classes.given if name not in folders]:
        raise InputError(f"--classes names {', '.join(missing)}, but {source} has no such folder; leave it out")
    if not faces:
        left = f" ({sentence(left_out.sorted())})" if left_out.found else ""
        raise InputError(
            f"{source} holds no pictures in folders named {', '.join(LABELS)}{left}; "
            "expected train/<emotion>/*.jpg and test/<emotion>/*.jpg"
        )
    return faces


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


def _usages(paths: list[PurePosixPath]) -> list[int]:
    """Return which official part each face belongs to, `NO_USAGE` where nothing says.

    The beginning of its name says it, or else the folders that it lies in. A folder called test is the last of three
    parts where there is one of the second, and may be either of two where there is none.
    """
    usages = [_usage(path) for path in paths]
    last = USAGES.index("PrivateTest") if USAGES.index("PublicTest") in usages else NO_USAGE
    return [last if usage is None else usage for usage in usages]


def _usage(path: PurePosixPath) -> int | None:
    """Return a face's official part, None where it lies in a folder that may be either of the test parts."""
    prefix = path.name.split("_")[0]
    if prefix in USAGES:
        return USAGES.index(prefix)
    for folder in reversed([part.lower() for part in path.parts[:-2]]):
        if folder in PARTS:
            return USAGES.index(PARTS[folder])
        if folder in TEST:
            return None
    return NO_USAGE
