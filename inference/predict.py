"""What a model sees in pictures: `ferox predict MODEL IMAGE|FOLDER...`.

With `--json`, stdout is one strict JSON list with an object a picture, in the order given:

    {"file": the path as given, "notes": [what of the file was not taken], "error": null or one sentence,
     "faces": [{"box": {"x", "y", "width", "height": pixels, "score": null or 0 to 1},
                "label": the most probable one, "probabilities": {label: 0 to 1}}]}

with the largest face first. A picture without a face has no faces and no error. With `--min-confidence`, the label is
null (in a table: unsure) where the most probable one has less.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from data.commands import BAD_INPUT
from data.errors import InputError, printable
from data.leftout import Tally, sentence
from data.terminal import hand_over, say, warn
from inference.batch import FORMATS, PICTURES_A_SHARD
from inference.catalogue import DEFAULT, SUFFIX, find_model
from inference.confidence import UNSURE, check_min_confidence
from inference.engine import Engine
from inference.photos.faces import HaarFinder, finder, finder_words
from inference.photos.files import picture_files
from inference.photos.reading import PicturePrediction, as_record, check_decode_side, predict_files
from inference.text import percent

NO_FACE = "no face found; --faces whole takes the whole picture as one"


def main(args: argparse.Namespace) -> int:
    """Print what the model sees in `args.images`; return 2 if any of several could not be read, else 0.

    Args:
        args: model (Path or None: the first of `images` where that is an .onnx, else the default model), images
            (list[Path]), faces ("auto" or "whole"), yunet (Path or None), json (bool), min_confidence (float, 0 to 1),
            decode_side (int or None: JPEGs as they are), provider (str), threads (int or None), out (Path or None:
            print); for `out`, format (str), shard and jobs (int) and ray (str), each None by default.

    Raises:
        InputError: options do not go together, a path is missing, a folder holds no pictures, the only picture cannot
            be read, or the model cannot be used.
    """
    check_min_confidence(args.min_confidence)
    check_decode_side(args.decode_side)
    model, images = _model_and_images(args)
    search = finder(args.yunet)
    if args.faces == "auto" and isinstance(search, HaarFinder):
        say(f"note: {finder_words(search)}")
    if args.out is not None:
        return _batch(args, find_model(model), images)
    if unused := [f"--{name}" for name in ("format", "shard", "jobs", "ray") if getattr(args, name) is not None]:
        raise InputError(f"{', '.join(unused)} is for tables, but --out does not say where these go; give that, too")
    left_out = Tally()
    files = picture_files(images, left_out)
    _say_left_out(left_out)
    engine = Engine.load(find_model(model), provider=args.provider, threads=args.threads)
    predictions = predict_files(
        engine,
        files,
        search,
        args.faces,
        keep_errors=len(files) > 1,
        min_confidence=args.min_confidence,
        decode_side=args.decode_side,
    )
    refused = _print_json(predictions) if args.json else _print_table(predictions, files)
    if refused:
        say(f"error: {refused} of {len(files)} pictures could not be read")
    return BAD_INPUT if refused else 0


def _model_and_images(args: argparse.Namespace) -> tuple[Path, list[Path]]:
    if args.model is None and args.images[0].suffix == SUFFIX:
        if len(args.images) == 1:
            raise InputError(f"{args.images[0]} is a model, and no picture is named; give one after it")
        return args.images[0], args.images[1:]
    return args.model or Path(DEFAULT), args.images


def _say_left_out(left_out: Tally) -> None:
    if left_out.found:
        warn(sentence(left_out.sorted()))


def _batch(args: argparse.Namespace, model: Path, images: Sequence[Path]) -> int:
    """Write shards into `args.out` in place of printing."""
    from inference.batch.job import BatchOptions, listed_files, run_job
    from inference.batch.worker import WorkerSettings

    if args.json:
        raise InputError("--json prints, and --out writes into files; give one of them (--format jsonl writes JSON)")
    left_out = Tally()
    files = listed_files(images, left_out)
    _say_left_out(left_out)
    # Of several workers each has a thread: together they take all processors.
    settings = WorkerSettings(
        model,
        args.provider,
        args.threads or 1,
        args.yunet,
        args.faces,
        min_confidence=args.min_confidence,
        decode_side=args.decode_side,
    )
    format_, shard = args.format or FORMATS[0], PICTURES_A_SHARD if args.shard is None else args.shard
    unread = run_job(files, BatchOptions(args.out, format_, shard, args.jobs, settings, args.ray))
    hand_over(args.out)
    if unread:
        say(f"error: {unread} pictures could not be read; the column error says why")
    return BAD_INPUT if unread else 0


def _print_json(predictions: Iterator[PicturePrediction]) -> int:
    records = [as_record(prediction) for prediction in predictions]
    print(json.dumps([record.to_dict() for record in records], indent=2, allow_nan=False))
    return sum(record.error is not None for record in records)


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
        box = f"{face.box.x},{face.box.y} {face.box.width} x {face.box.height}"
        ranking = face.ranking
        # Who is unsure has said nothing yet: then the most probable label is the first of what it might be.
        _, best = ranking[0]
        second, other = ranking[1 if face.label else 0]
        label = face.label or UNSURE
        yield _row(width, name, str(number), box, label, percent(best, 1), f"{second} {percent(other, 1)}")
    for note in prediction.notes:
        yield _row(width, name, "-", f"note: {note}")


def _row(width: int, file: str, face: str, box: str, label: str = "", confidence: str = "", other: str = "") -> str:
    return f"{file:<{width}}  {face:<4}  {box:<23}  {label:<8}  {confidence:<10}  {other}".rstrip()
