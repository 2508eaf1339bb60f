"""The timeline: a row for each face of each moment, one for each moment without; written and read as a stream."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError, printable
from data.faceset import LABELS
from data.files import whole_file
from inference.batch.table import FACE_COLUMNS, check_arrow
from inference.confidence import ALWAYS, NEVER
from inference.photos.faces import FaceBox
from inference.photos.reading import Answer
from inference.video.moments import Moment

# Names and types of the columns, as docs/video.md describes them; all but the first two are empty without a face, and
# `label` where the model is unsure.
COLUMNS = {
    "seconds": "float64",
    "frame": "int64",
    "track": "int32",
    **FACE_COLUMNS,
    **{f"raw_{label}": "float32" for label in LABELS},
    **dict.fromkeys(LABELS, "float32"),
}
HEADER = ",".join(COLUMNS) + "\n"
ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class TimelineFace(Answer):
    """A face in a timeline: its person's number, its box, and its smoothed probabilities, float32[7].

    `min_confidence` is `NEVER` where the row has no label, which says that the model was unsure, else `ALWAYS`.
    """

    track: int
    box: FaceBox
    probabilities: NDArray[np.float32]
    min_confidence: float = ALWAYS


@dataclass(frozen=True)
class TimelineMoment:
    """A moment in a timeline: when it is, in seconds, the frame's number, and who was found."""

    seconds: float
    frame: int
    faces: tuple[TimelineFace, ...]


def moment_lines(moment: Moment) -> str:
    """Return a moment's rows as lines of CSV, in the order of `COLUMNS`; the same moment gives the same text."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    when = [f"{moment.seconds:.6f}", moment.frame]
    for face in moment.faces:
        box = face.box
        score = "" if box.score is None else _figure(box.score)
        found = [face.track, box.x, box.y, box.width, box.height, score, face.label or "", _figure(face.confidence)]
        table.writerow([*when, *found, *map(_figure, face.raw), *map(_figure, face.probabilities)])
    if not moment.faces:
        table.writerow([*when, *[""] * (len(COLUMNS) - len(when))])
    return text.getvalue()


def _figure(value: float) -> str:
    # Nine significant digits bring every float32 back as it was.
    return f"{value:.9g}"


def timeline_moments(path: Path) -> Iterator[TimelineMoment]:
    """Yield the moments of a timeline, one after another.

    Raises:
        InputError: a row is not as they were written.
    """
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        for (_, number), rows in groupby(table, key=lambda row: (row["seconds"], row["frame"])):
            yield _moment(list(rows), path, number)


def _moment(rows: list[dict[str, str]], path: Path, number: str) -> TimelineMoment:
    try:
        faces = tuple(_face(row) for row in rows if row["track"])
        return TimelineMoment(float(rows[0]["seconds"]), int(rows[0]["frame"]), faces)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path.name}: a row of frame {printable(str(number))[:20]} is not as it was written; watch the film anew"
        ) from error


def _face(row: dict[str, str]) -> TimelineFace:
    x, y, width, height = (int(row[side]) for side in ("x", "y", "width", "height"))
    box = FaceBox(x, y, width, height, float(row["score"]) if row["score"] else None)
    probabilities = np.array([row[label] for label in LABELS], np.float32)
    return TimelineFace(int(row["track"]), box, probabilities, ALWAYS if row["label"] else NEVER)


def write_parquet(timeline: Path, path: Path) -> None:
    """Write a timeline as Parquet, whole or not at all, some ten thousand rows in memory at a time.

    Raises:
        InputError: pyarrow is not installed.
    """
    check_arrow()
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    schema = pyarrow.schema([(name, pyarrow.type_for_alias(kind)) for name, kind in COLUMNS.items()])
    convert: Any = pyarrow.csv.ConvertOptions(column_types=schema, strings_can_be_null=True)
    with (
        pyarrow.csv.open_csv(timeline, convert_options=convert) as rows,
        whole_file(path) as file,
        pyarrow.parquet.ParquetWriter(file, schema) as writer,
    ):
        for batch in rows:
            writer.write_batch(batch)
