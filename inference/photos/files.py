"""Which pictures are meant where files and folders are named."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from data.errors import InputError, printable
from data.leftout import Tally, unread
from data.walk import files_below
from inference.photos.pictures import SUFFIXES, file_name


def picture_files(paths: Sequence[Path], left_out: Tally) -> list[Path]:
    """Return the files among `paths`, and in the place of each folder the pictures below it, sorted by name.

    In folders, only names that end like a picture's count, and others are counted into `left_out`; a file that is named
    is always taken.

    Raises:
        InputError: there are no paths, one does not exist or cannot be looked at, or a folder holds no pictures.
    """
    files: list[Path] = []
    for path in paths:
        try:
            files += _pictures_at(path, left_out)
        except OSError as error:
            raise InputError(
                f"{file_name(str(path))} cannot be looked at ({error.strerror}): expected a picture or a folder; check "
                "the path"
            ) from error
    if not files:
        raise InputError("no pictures were given: expected at least one file or folder; name one")
    return files


def _pictures_at(path: Path, left_out: Tally) -> list[Path]:
    if path.is_dir():
        return _pictures_in(path, left_out)
    if path.exists():
        return [path]
    raise InputError(f"{printable(str(path))} does not exist: expected a picture or a folder; check the path")


def _pictures_in(folder: Path, left_out: Tally) -> list[Path]:
    pictures = []
    for name in files_below(folder, left_out):
        if reason := unread(PurePosixPath(name), SUFFIXES):
            left_out.add(reason, name)
        else:
            pictures.append(folder / name)
    if not pictures:
        raise InputError(
            f"the folder {printable(str(folder))} holds no pictures: expected names ending in "
            f"{', '.join(SUFFIXES)}; name another folder, or the files themselves"
        )
    return pictures
