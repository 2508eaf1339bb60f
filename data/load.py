"""Loads faces by looking at what it is given: a table, an image folder, its zip, or nothing at all."""

import zipfile
from functools import partial
from pathlib import Path

from data.cache import cached, source_state
from data.classes import ClassNames, parse_classes
from data.errors import InputError
from data.faceset import FaceSet
from data.leftout import sentence
from data.terminal import warn

DRAWN_COUNT, DRAWN_SEED = 2100, 0


def load(path: Path | None, classes: str = "", *, skip_bad_rows: bool = False) -> FaceSet:
    """Load faces; the second time from a memory-mapped cache. What was left out is said on stderr each time.

    Args:
        path: `fer2013.csv`, FER2013's image folder, or a zip of it, told apart by their content. None draws
            `DRAWN_COUNT` faces.
        classes: what folders of pictures mean whose names are none of the seven, see `data.classes.parse_classes`.
        skip_bad_rows: leave out what cannot be used, and count it, instead of refusing the whole.

    Raises:
        InputError: nothing is there, or it cannot be used; the message says what and where.
    """
    names = parse_classes(classes)
    if path is None:
        if names.given:
            raise InputError("--classes is for folders of pictures, but faces are drawn without --data; leave it out")
        return _drawn()
    if not path.exists():
        raise InputError(
            f"{path} does not exist; expected fer2013.csv, FER2013's image folder or its zip; "
            "without --data, faces are drawn"
        )
    # `.` and `..` have names, too; a link keeps its own.
    path = path if path.name.strip(".") else path.resolve()
    state = [skip_bad_rows, names.given, source_state(path)]
    read = partial(_read, path, names, skip_bad_rows)
    faces = cached(str(path.resolve()), state, read, path.name)
    if faces.left_out:
        warn(f"{faces.source}: {sentence(faces.left_out)}")
    return faces


def _read(path: Path, classes: ClassNames, skip_bad_rows: bool) -> FaceSet:
    from data.images import read_folder, read_zip
    from data.table import read_table

    if path.is_dir():
        return read_folder(path, classes, skip_bad_rows=skip_bad_rows)
    if _looks_like_zip(path):
        return read_zip(path, classes, skip_bad_rows=skip_bad_rows)
    if classes.given:
        raise InputError(f"--classes is for folders of pictures and zips of them; {path.name} is a table; leave it out")
    return read_table(path, skip_bad_rows=skip_bad_rows)


def _looks_like_zip(path: Path) -> bool:
    # A truncated zip has lost the directory at its end that `is_zipfile` looks for, not its first bytes.
    with path.open("rb") as file:
        start = file.read(4)
    return start in (b"PK\x03\x04", b"PK\x05\x06") or (zipfile.is_zipfile(path) and path.suffix.lower() == ".zip")


def _drawn() -> FaceSet:
    from data import draw

    state = [DRAWN_COUNT, DRAWN_SEED, draw.recipe_digest()]
    name = f"drawn-{DRAWN_COUNT}-seed{DRAWN_SEED}"
    return cached("drawn", state, partial(draw.draw, DRAWN_COUNT, DRAWN_SEED), name)
