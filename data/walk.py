"""Finds the files below a folder, through links as well, as torchvision's ImageFolder and Keras do."""

import os
from collections.abc import Iterator
from pathlib import Path

from data.errors import InputError, printable
from data.leftout import Tally


def files_below(folder: Path, left_out: Tally) -> list[str]:
    """Return the regular files below a folder, by their paths from it, sorted.

    Links that lead nowhere or in a circle, and what is neither file nor folder, are counted into `left_out`.

    Raises:
        InputError: a folder cannot be looked into.
    """
    return sorted(_below(folder, "", frozenset([_identity(folder)]), left_out))


def _below(folder: Path, prefix: str, above: frozenset[tuple[int, int]], left_out: Tally) -> Iterator[str]:
    for entry in _entries(folder):
        name = f"{prefix}{entry.name}"
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError:  # A link that leads to itself.
            is_folder = is_file = False
        if is_folder:
            identity = _identity(Path(entry.path))
            if identity in above:
                left_out.add("linked in a circle", name)
            else:
                yield from _below(Path(entry.path), f"{name}/", above | {identity}, left_out)
        elif is_file:
            yield name
        else:
            left_out.add("linked to nothing" if entry.is_symlink() else "no regular file", name)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise InputError(
            f"{printable(str(folder))} cannot be looked into ({error.strerror}); expected a readable folder; change "
            "its permissions, or take it away"
        ) from error


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
