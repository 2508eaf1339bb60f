"""Loads faces by looking at what it is given: a table, an image folder, its zip, or nothing at all."""

import zipfile
from functools import partial
from pathlib import Path

from data.cache import cached, source_state
from data.errors import InputError
from data.faceset import FaceSet

DRAWN_COUNT, DRAWN_SEED = 2100, 0


def load(path: Path | None, *, skip_bad_rows: bool = False) -> FaceSet:
    """Load faces; the second time from a memory-mapped cache.

    Args:
        path: `fer2013.csv`, FER2013's image folder, or a zip of it, told apart by their content. None draws
            `DRAWN_COUNT` faces.
        skip_bad_rows: leave out what cannot be used, and count it, instead of refusing the whole.

    Raises:
        InputError: nothing is there, or it cannot be used; the message says what and where.
    """
    if path is None:
        return _drawn()
    if not path.exists():
        raise InputError(
            f"{path} does not exist; expected fer2013.csv, FER2013's image folder or its zip; "
            "without --data, faces are drawn"
        )
    # `.` and `..` have names, too; a link keeps its own.
    path = path if path.name.strip(".") else path.resolve()
    state = [skip_bad_rows, source_state(path)]
    read = partial(_read, path, skip_bad_rows)
    return cached(str(path.resolve()), state, read, path.name)


def _read(path: Path, skip_bad_rows: bool) -> FaceSet:
    from data.images import read_folder, read_zip
    from data.table import read_table

    if path.is_dir():
        return read_folder(path, skip_bad_rows=skip_bad_rows)
    if _looks_like_zip(path):
        return read_zip(path, skip_bad_rows=skip_bad_rows)
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
