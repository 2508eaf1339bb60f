"""Measures models on faces they may be judged by: `ferox evaluate MODEL... --data PATH`."""

import argparse
import sys

from data.load import load
from data.terminal import hand_over
from inference.catalogue import find_model
from inference.comparison.summary import summary_table
from inference.engine import Engine
from inference.measure.evaluation import assign, refuse_same_names
from inference.report.class_maps import class_maps
from inference.report.document import read_report
from inference.report.writer import write_report


def main(args: argparse.Namespace) -> int:
    """Evaluate every model of `args.models`; the table goes to stderr, the report folders to stdout.

    Args:
        args: models (list[Path]), data (Path or None: drawn faces), part (str or None: test), protocol (str
            or None: the model's own), tta (str: the test-time augmentation), allow_seen (bool), skip_bad_rows (bool),
            classes (str), explain (bool), out (Path), provider (str), threads (int or None).

    Raises:
        InputError: the data or a model cannot be used, or a model may not be measured on these faces.
    """
    models = [find_model(named) for named in args.models]
    refuse_same_names(models)
    faces = load(args.data, args.classes, skip_bad_rows=args.skip_bad_rows)
    reports = []
    for path in models:
        engine = Engine.load(path, provider=args.provider, threads=args.threads)
        task = assign(
            engine, faces, args.part, protocol=args.protocol, allow_seen=args.allow_seen, augmentation=args.tta
        )
        evaluation = task.evaluate()
        folder = write_report(evaluation, args.out, class_maps(evaluation) if args.explain else None)
        hand_over(folder)
        reports.append(read_report(folder))
    print(summary_table(reports), file=sys.stderr)
    return 0
