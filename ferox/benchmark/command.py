"""Measures against others, in turns, into a record that tables are made from: `ferox benchmark`.

Three things by one name. `ferox benchmark MODEL...` runs one artifact in every runtime that is at hand, and in the
framework that trained it; `ferox benchmark training` takes training steps in the frameworks; `ferox benchmark --into
FILE RECORD...` puts the tables of records into a document.
"""

import argparse
from pathlib import Path

from data.errors import InputError
from data.places import artifacts
from training.recipe import CHOICES, FRAMEWORKS
from training.specs import MODELS

TRAINING = "training"
TRAINED = ("mlp_1", "cnn_1", "cnn_4")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    what = "models, to run everywhere; or the word training; or with --into, records"
    parser.add_argument("what", nargs="+", metavar="MODEL", help=what)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of turns (default: %(default)s)")
    parser.add_argument("--seconds", type=float, help="of one turn (default: 0.5; of training 5)")
    parser.add_argument("--threads", type=int, help="of each contender (default: all that this process may use)")
    records = artifacts() / "benchmarks"
    parser.add_argument(
        "--out", type=Path, default=records, metavar="DIR", help="for the record (default: %(default)s)"
    )
    parser.add_argument("--name", help="of the record (default: what it is of, and the time)")
    parser.add_argument(
        "--data", type=Path, help="faces to run: fer2013.csv, image folder or zip (default: drawn faces)"
    )
    parser.add_argument(
        "--faces", type=int, default=256, help="on how many answers are compared (default: %(default)s)"
    )
    runs = "run folders of the models, for their framework's own figures (default: looked for where trainings go)"
    parser.add_argument("--run", type=Path, nargs="+", default=[], metavar="RUN", help=runs)
    frameworks = "in which frameworks, too (default: the one that trained the model; of training torch)"
    parser.add_argument("--frameworks", nargs="+", choices=FRAMEWORKS, default=[], help=frameworks)
    trained = f"of training (default: {' '.join(TRAINED)})"
    parser.add_argument("--models", nargs="+", choices=tuple(MODELS), default=[], help=trained)
    precisions = CHOICES["precision"]
    parser.add_argument("--precisions", nargs="+", choices=precisions, default=[], help="of training (default: fp32)")
    parser.add_argument("--into", type=Path, metavar="FILE", help="put records' tables between its benchmarks markers")


def main(args: argparse.Namespace) -> int:
    """Do what the words ask for; print tables, and the record's or the document's path last."""
    # Imported late: NumPy, onnxruntime and Matplotlib take a second, --help should not.
    from ferox.benchmark import running
    from inference.benchmark.keeping import check_place

    _check(args)
    if args.into is not None:
        return running.write(args.into, [Path(name) for name in args.what])
    check_place(args.out, args.name)
    return running.training(args) if args.what == [TRAINING] else running.runtimes(args)


def _check(args: argparse.Namespace) -> None:
    """Raise an `InputError` for options that mean nothing together."""
    is_training = args.into is None and args.what == [TRAINING]
    if not is_training and (args.models or args.precisions):
        raise InputError("--models and --precisions are for ferox benchmark training; leave them out")
    if is_training and (args.run or args.data):
        raise InputError("--run and --data are for models, and training steps have random faces; leave them out")
    if args.into is None and TRAINING in args.what and len(args.what) > 1:
        raise InputError("training stands beside models; measure one after the other, in a command each")
    if args.threads is not None and args.threads < 1:
        raise InputError(f"--threads is {args.threads}, expected 1 or more; leave it out for all that there are")
