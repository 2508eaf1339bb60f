"""The table of answers: a row for each face, and one for each picture without a face or not read."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data.commands import how_to_install
from data.errors import InputError, as_text
from data.faceset import LABELS
from data.files import write_bytes
from inference.batch import Format
from inference.photos.reading import PicturePrediction

# Of a face in any table: its box, the finder's score, and the most probable label.
FACE_COLUMNS = {
    "x": "int32",
    "y": "int32",
    "width": "int32",
    "height": "int32",
    "score": "float32",
    "label": "string",
    "confidence": "float32",
}
# Names and types of the columns, as docs/reports.md describes them; all but `picture` and `file` may be null:
# a row without a face, and one without a label, where a face was found and the model is unsure.
COLUMNS = {
    "picture": "int64",
    "file": "string",
    "face": "int32",
    **FACE_COLUMNS,
    **dict.fromkeys(LABELS, "float32"),
    "notes": "string",
    "error": "string",
}
Row = tuple[Any, ...]


def rows(number: int, prediction: PicturePrediction) -> Iterator[Row]:
    """Yield the rows of a picture, in the order of `COLUMNS`; `number` is its place among all, from 0."""
    named, notes = (number, as_text(prediction.name)), "; ".join(prediction.notes) or None
    for place, face in enumerate(prediction.faces):
        box = face.box
        found = (place, box.x, box.y, box.width, box.height, box.score, face.label, face.confidence)
        yield (*named, *found, *map(float, face.probabilities), notes, None)
    if not prediction.faces:
        yield (*named, *[None] * (len(COLUMNS) - 4), notes, prediction.error)


def check_format(kind: Format) -> None:
    """Raise an `InputError` where what writes tables of this kind is not installed."""
    if kind == "parquet":
        check_arrow()


def write_rows(path: Path, table: Sequence[Row], kind: Format) -> None:
    """Write rows as one file, whole or not at all; the same rows give the same bytes."""
    write_bytes(path, {"parquet": _parquet, "csv": _csv, "jsonl": _json_lines}[kind](table))


def _parquet(table: Sequence[Row]) -> bytes:
    check_arrow()
    import pyarrow
    import pyarrow.parquet

    columns = list(zip(*table, strict=True)) or [()] * len(COLUMNS)
    types = [pyarrow.type_for_alias(kind) for kind in COLUMNS.values()]
    arrays = [pyarrow.array(values, kind) for values, kind in zip(columns, types, strict=True)]
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(arrays, names=list(COLUMNS)), file)
    return file.getvalue()


def _csv(table: Sequence[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(table)
    return text.getvalue().encode()


def _json_lines(table: Sequence[Row]) -> bytes:
    lines = (json.dumps(dict(zip(COLUMNS, row, strict=True)), allow_nan=False) for row in table)
    return "".join(f"{line}\n" for line in lines).encode()


def check_arrow() -> None:
    """Raise an `InputError` where pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as missing:
        raise InputError(
            f"Parquet needs pyarrow, which is not installed; {how_to_install('parquet')}; or take --format csv or jsonl"
        ) from missing
