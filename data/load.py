"""Loads faces by looking at what it is given: a table, an image folder, an archive of either, or nothing at all."""

from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from data.archives import Archive, open_archive
from data.cache import cached, source_state
from data.classes import ClassNames, parse_classes
from data.errors import InputError
from data.faceset import FaceSet
from data.leftout import sentence, unread
from data.terminal import warn

DRAWN_COUNT, DRAWN_SEED = 2100, 0


def load(path: Path | None, classes: str = "", *, skip_bad_rows: bool = False) -> FaceSet:
    """Load faces; the second time from a memory-mapped cache. What was left out is said on stderr each time.

    Args:
        path: `fer2013.csv`, FER2013's image folder, or a folder, zip or tar that holds one of them, told apart by their
            content. None draws `DRAWN_COUNT` faces.
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
    from data.images import read_pictures
    from data.table import read_rows, read_table

    with open_archive(path) as archive:
        table = None if archive is None else table_in(archive)
        if archive is not None and table is None:
            return read_pictures(archive, classes, skip_bad_rows=skip_bad_rows)
        if classes.given:
            raise InputError(
                f"--classes is for folders of pictures and archives of them; {path.name} is a table; leave it out"
            )
        if archive is None or table is None:
            return read_table(path, skip_bad_rows=skip_bad_rows)
        with archive.open(table) as file:
            faces = read_rows(file, path.name, skip_bad_rows=skip_bad_rows)
    return replace(faces, left_out=archive.left_out.sorted())


def table_in(archive: Archive) -> str | None:
    """Return the path of the table that an archive holds, None where it holds pictures instead, or neither.

    What lies beside the table is counted as left out.

    Raises:
        InputError: there are several tables, and not exactly one of them is called fer2013.csv.
    """
    from data.images import SUFFIXES

    visible = [path for path in archive.paths if not unread(PurePosixPath(path), (*SUFFIXES, ".csv"))]
    tables = [path for path in visible if path.lower().endswith(".csv")]
    if not tables or len(tables) < len(visible):
        return None
    if len(tables) > 1:
        named = [path for path in tables if PurePosixPath(path).name.lower() == "fer2013.csv"]
        if len(named) != 1:
            raise InputError(
                f"{archive.source} holds {len(tables)} tables ({', '.join(tables[:3])}); expected one, or one that is "
                "called fer2013.csv; name the table itself"
            )
        tables = named
    for path in archive.paths:
        if path != tables[0]:
            archive.left_out.add("beside the table", path)
    return tables[0]


def _drawn() -> FaceSet:
    from data import draw

    state = [DRAWN_COUNT, DRAWN_SEED, draw.recipe_digest()]
    name = f"drawn-{DRAWN_COUNT}-seed{DRAWN_SEED}"
    return cached("drawn", state, partial(draw.draw, DRAWN_COUNT, DRAWN_SEED), name)
