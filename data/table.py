"""Reads `fer2013.csv` fast, and refuses every row that is not exactly what it claims to be.

Each row's pixels are parsed by one NumPy call: 35,887 rows take a few seconds where splitting them in
Python takes a quarter of a minute. What that call would accept quietly (a sign, a fraction, a value that wraps
around) is looked for first.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.faceset import LABELS, NO_USAGE, SIDE, USAGES, FaceSet, face_set

PIXELS = SIDE * SIDE
# 2304 three-digit numbers take 9,215 bytes; a "line" far beyond that is no row of this table.
LONGEST_LINE = 1 << 17
USAGE_CODES = {usage.encode(): code for code, usage in enumerate(USAGES)}
LABEL_CODES = {str(code).encode(): code for code in range(len(LABELS))}


class BadRow(Exception):
    """One row cannot be used; the message says what was found and what was expected."""


@dataclass(frozen=True)
class Columns:
    """Where the columns stand in this table, counted from 0."""

    emotion: int
    pixels: int
    usage: int | None
    count: int


def read_table(path: Path, *, skip_bad_rows: bool = False) -> FaceSet:
    """Read a CSV file; see `read_rows`."""
    with path.open("rb") as file:
        return read_rows(file, path.name, skip_bad_rows=skip_bad_rows)


def read_rows(file: IO[bytes], name: str, *, skip_bad_rows: bool = False) -> FaceSet:
    """Read a table with the columns `emotion`, `pixels` and, where known, `Usage`, in any order.

    Args:
        file: the CSV's content. A byte-order mark, CRLF line ends and further columns do not matter.
        name: what the table is called.
        skip_bad_rows: leave out rows that cannot be used, and count them, instead of refusing the table.

    Raises:
        InputError: the table has no usable rows, lacks a column, or has a bad row (named by its line).
    """
    pixels, labels, usages, lines = bytearray(), bytearray(), bytearray(), []
    skipped = 0
    columns = _columns(file.readline(LONGEST_LINE), name)
    for line, row in _rows(file):
        try:
            face, label, usage = _face(_fields(row), columns)
        except BadRow as error:
            if not skip_bad_rows:
                raise InputError(
                    f"{name}, line {line}: {error}; mend the row, or leave out all such rows with --skip-bad-rows"
                ) from None
            skipped += 1
            continue
        pixels += face.tobytes()
        labels.append(label)
        usages.append(usage)
        lines.append(line)
    if not lines:
        raise InputError(
            f"{name} holds no {'usable ' if skipped else ''}faces below its header ({skipped} rows left out); "
            "expected one face a row"
        )
    return face_set(
        np.frombuffer(pixels, np.uint8).reshape(-1, SIDE, SIDE),
        np.frombuffer(labels, np.uint8),
        np.frombuffer(usages, np.uint8),
        lines,
        source=name,
        skipped=skipped,
    )


def _columns(header: bytes, name: str) -> Columns:
    try:
        text = header.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise InputError(f"{name} is not a text table; expected fer2013.csv with a header line") from None
    if not text:
        raise InputError(f"{name} is empty; expected a header line with the columns emotion,pixels,Usage")
    try:
        names = [column.strip().lower() for column in next(csv.reader([text]))]
    except csv.Error as error:
        raise InputError(
            f"{name}, line 1 is no line of a CSV table ({error}); expected emotion,pixels,Usage and lines that end "
            "with LF or CRLF"
        ) from error
    for column in ("emotion", "pixels"):
        if column not in names:
            raise InputError(
                f"{name}, line 1: there is no column {column!r} among {', '.join(map(repr, names))[:200]}; "
                "expected emotion,pixels,Usage"
            )
    for column in ("emotion", "pixels", "usage"):
        if names.count(column) > 1:
            raise InputError(f"{name}, line 1: the column {column!r} stands there twice; expected it once")
    usage = names.index("usage") if "usage" in names else None
    return Columns(names.index("emotion"), names.index("pixels"), usage, len(names))


def _rows(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield each row that is not empty, and its line number, counted from 1 with the header."""
    for line, content in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), start=2):
        if row := content.rstrip(b"\r\n"):
            yield line, row


def _fields(row: bytes) -> list[bytes]:
    if b'"' not in row:
        return row.split(b",")
    try:
        return [field.encode() for field in next(csv.reader([row.decode("utf-8", "replace")]))]
    except csv.Error as error:
        raise BadRow(f"no line of a CSV table ({error}), expected fields between commas") from error


def _face(fields: list[bytes], columns: Columns) -> tuple[NDArray[np.uint8], int, int]:
    if len(fields) != columns.count:
        raise BadRow(f"{len(fields)} fields, expected {columns.count} as in the header")
    label = LABEL_CODES.get(fields[columns.emotion].strip())
    if label is None:
        raise BadRow(f"the emotion is {_shown(fields[columns.emotion])}, expected a whole number from 0 to 6")
    usage = NO_USAGE
    if columns.usage is not None:
        code = USAGE_CODES.get(fields[columns.usage].strip())
        if code is None:
            raise BadRow(f"the Usage is {_shown(fields[columns.usage])}, expected {', '.join(USAGES)}")
        usage = code
    return _pixels(fields[columns.pixels]), label, usage


def _pixels(field: bytes) -> NDArray[np.uint8]:
    if field.translate(None, b"0123456789 "):
        odd = next(value for value in field.split(b" ") if value.strip(b"0123456789"))
        raise BadRow(f"a pixel is {_shown(odd)}, expected whole numbers from 0 to 255 between blanks")
    values = np.fromstring(field, np.int64, sep=" ") if field.strip() else np.empty(0, np.int64)
    if len(values) != PIXELS:
        raise BadRow(f"{len(values)} pixels, expected {PIXELS}")
    if values.max() > 255:
        raise BadRow(f"a pixel is {values.max()}, expected whole numbers from 0 to 255")
    return values.astype(np.uint8)


def _shown(field: bytes) -> str:
    return repr(field[:40].decode("utf-8", "replace"))
