"""What a model sees in pictures: `python -m inference predict MODEL IMAGE|FOLDER...`.

Faces are gathered over several pictures before the model runs, since one run over many costs far less than
many over one; what is kept of a picture meanwhile is its crops alone, so memory stays bounded.

With `--json`, stdout is one strict JSON list with an object a picture, in the order given:

    {"file": the path as given, "notes": [what of the file was not taken], "error": null or one sentence,
     "faces": [{"box": {"x", "y", "width", "height": pixels, "score": null or 0 to 1},
                "label": the most probable one, "probabilities": {label: 0 to 1}}]}

with the largest face first. A picture without a face has no faces and no error.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError, printable
from data.faceset import LABELS
from data.leftout import Tally, sentence, unread
from data.walk import files_below
from inference.engine import Engine
from inference.photos.faces import FaceBox, FaceCrop, Finder, Policy, face_crops, finder
from inference.photos.pictures import SUFFIXES, Picture, file_name, read_picture

FACES_AT_ONCE = 256
PICTURES_AT_ONCE = 64
REFUSED = 2
NO_FACE = "no face found; --faces whole takes the whole picture as one"


@dataclass(frozen=True)
class FacePrediction:
    """One face: `probabilities` is float32[7] in the order of `LABELS`, `crop` is uint8[48, 48]."""

    box: FaceBox
    label: str
    probabilities: NDArray[np.float32]
    crop: NDArray[np.uint8]


@dataclass(frozen=True)
class PicturePrediction:
    """One picture's faces, the largest first; `error` says why it could not be read, in one sentence."""

    name: str
    notes: tuple[str, ...]
    faces: tuple[FacePrediction, ...]
    error: str | None = None


@dataclass(frozen=True)
class _Found:
    name: str
    notes: tuple[str, ...] = ()
    crops: tuple[FaceCrop, ...] = ()
    error: str | None = None


def main(args: argparse.Namespace) -> int:
    """Print what the model sees in `args.images`; return 2 if any of several could not be read, else 0.

    Args:
        args: model (Path), images (list[Path]), faces ("auto" or "whole"), yunet (Path or None), json (bool),
            provider (str), threads (int or None).

    Raises:
        InputError: a path is missing, a folder holds no pictures, the only picture cannot be read, or the
            model cannot be used.
    """
    left_out = Tally()
    files = picture_files(args.images, left_out)
    if left_out.found:
        print(f"warning: {sentence(left_out.sorted())}", file=sys.stderr)
    engine = Engine.load(args.model, provider=args.provider, threads=args.threads)
    predictions = predict_files(engine, files, finder(args.yunet), args.faces, keep_errors=len(files) > 1)
    refused = _print_json(predictions) if args.json else _print_table(predictions, files)
    if refused:
        print(f"error: {refused} of {len(files)} pictures could not be read", file=sys.stderr)
    return REFUSED if refused else 0


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
    found = []
    for name in files_below(folder, left_out):
        if reason := unread(PurePosixPath(name), SUFFIXES):
            left_out.add(reason, name)
        else:
            found.append(folder / name)
    if not found:
        raise InputError(
            f"the folder {printable(str(folder))} holds no pictures: expected names ending in "
            f"{', '.join(SUFFIXES)}; name another folder, or the files themselves"
        )
    return found


def predict_picture(engine: Engine, picture: Picture, search: Finder, policy: Policy) -> PicturePrediction:
    """Find the faces of one picture (see `faces.face_crops`) and run the model on them."""
    found = _Found(picture.name, picture.notes, face_crops(picture.pixels, search, policy))
    return next(_predicted(engine, [found]))


def predict_files(
    engine: Engine, files: Sequence[Path], search: Finder, policy: Policy, *, keep_errors: bool
) -> Iterator[PicturePrediction]:
    """Yield one prediction a file, named as given; with `keep_errors`, one that cannot be read has its error.

    Raises:
        InputError: a file cannot be read, without `keep_errors`.
    """
    waiting: list[_Found] = []
    for file in files:
        waiting.append(_found(file, search, policy, keep_error=keep_errors))
        faces = sum(len(found.crops) for found in waiting)
        if faces >= FACES_AT_ONCE or len(waiting) >= PICTURES_AT_ONCE:
            yield from _predicted(engine, waiting)
            waiting = []
    yield from _predicted(engine, waiting)


def _found(file: Path, search: Finder, policy: Policy, *, keep_error: bool) -> _Found:
    try:
        picture = read_picture(file)
    except InputError as error:
        if not keep_error:
            raise
        return _Found(str(file), error=str(error))
    return _Found(str(file), picture.notes, face_crops(picture.pixels, search, policy))


def _predicted(engine: Engine, waiting: Sequence[_Found]) -> Iterator[PicturePrediction]:
    crops = [face.pixels for found in waiting for face in found.crops]
    rows = iter(engine.predict(np.stack(crops)) if crops else ())
    for found in waiting:
        faces = tuple(_face(crop, next(rows)) for crop in found.crops)
        yield PicturePrediction(found.name, found.notes, faces, found.error)


def _face(found: FaceCrop, probabilities: NDArray[np.float32]) -> FacePrediction:
    return FacePrediction(found.box, LABELS[int(probabilities.argmax())], probabilities, found.pixels)


def _print_json(predictions: Iterator[PicturePrediction]) -> int:
    records = [as_record(prediction) for prediction in predictions]
    print(json.dumps(records, indent=2, allow_nan=False))
    return sum(record["error"] is not None for record in records)


def as_record(prediction: PicturePrediction) -> dict[str, Any]:
    """Return a prediction as plain values for JSON, in the form of this module's docstring."""
    faces = [
        {
            "box": asdict(face.box),
            "label": face.label,
            "probabilities": dict(zip(LABELS, face.probabilities.tolist(), strict=True)),
        }
        for face in prediction.faces
    ]
    return {
        "file": prediction.name,
        "notes": list(prediction.notes),
        "error": prediction.error,
        "faces": faces,
    }


def _print_table(predictions: Iterator[PicturePrediction], files: Sequence[Path]) -> int:
    width = max(len("file"), *(len(printable(str(file))) for file in files))
    print(_row(width, "file", "face", "box x,y w x h", "label", "confidence", "runner-up"))
    refused = 0
    for prediction in predictions:
        refused += prediction.error is not None
        for line in _lines(prediction, width):
            print(line, flush=True)
    return refused


def _lines(prediction: PicturePrediction, width: int) -> Iterator[str]:
    name = printable(prediction.name)
    if prediction.error is not None:
        yield _row(width, name, "-", f"not read: {prediction.error}")
    elif not prediction.faces:
        yield _row(width, name, "-", NO_FACE)
    for number, face in enumerate(prediction.faces, 1):
        first, second = np.argsort(-face.probabilities, kind="stable")[:2]
        box = f"{face.box.x},{face.box.y} {face.box.width} x {face.box.height}"
        best, other = face.probabilities[first], face.probabilities[second]
        yield _row(width, name, str(number), box, LABELS[first], f"{best:.1%}", f"{LABELS[second]} {other:.1%}")
    for note in prediction.notes:
        yield _row(width, name, "-", f"note: {note}")


def _row(width: int, file: str, face: str, box: str, label: str = "", confidence: str = "", other: str = "") -> str:
    return f"{file:<{width}}  {face:<4}  {box:<23}  {label:<8}  {confidence:<10}  {other}".rstrip()
