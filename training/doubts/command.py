"""Looks for labels that are probably wrong: `ferox doubts --data fer2013.csv`.

A small model is trained k times, each time without one fold of the training part, and asked about that fold. What
cleanlab makes of the answers is written as a page to look at and as a table that trainings take (`--drop`,
`--relabel`). Validation and test parts are neither asked about nor trained on.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.files import write_text
from data.folds import training_folds
from data.load import load
from data.splits import SplitPlan, split
from data.terminal import hand_over, say
from training.doubts.answers import Stopped, held_out_answers
from training.doubts.issues import Doubt, doubts_table, find_doubts, label_issues
from training.doubts.page import Method, render_page
from training.options import split_plan
from training.recipe import Settings, recipe
from training.session import load_framework

TABLE_FILE, PAGE_FILE = "doubts.csv", "doubts.html"


def main(args: argparse.Namespace) -> int:
    """Find doubtful labels as `args` say (see `training.options.add_doubts_arguments`); return the exit status.

    Raises:
        InputError: data or settings cannot be used, or `args.out` holds folds of others.
    """
    if args.shown < 0:
        raise InputError(f"--shown is {args.shown}, expected 0 faces or more on the page")
    settings = settings_of(args)
    # Before hours of training, not after.
    label_issues()
    framework = load_framework(settings.framework)
    faces = load(args.data, args.classes, skip_bad_rows=args.skip_bad_rows)
    division = split(faces, split_plan(args))
    folds = training_folds(faces, division, args.fold_count, settings.seed)
    say(f"{faces.source}: {len(division.train):,} faces of the training part in {len(folds)} folds")
    try:
        answers = held_out_answers(faces, folds, settings, framework, args.out)
    except Stopped as stopped:
        return stopped.status
    answers, labels = answers[division.train], faces.labels[division.train]
    method = Method(
        source=faces.source,
        protocol=division.plan.protocol,
        faces=len(division.train),
        fingerprint=division.fingerprint,
        settings=settings,
        folds=len(folds),
        agreement=float((answers.argmax(axis=1) == labels).mean()),
    )
    found = find_doubts(faces, division.train, answers)
    shown = [(faces.pixels[face], doubt) for face, doubt in found[: args.shown]]
    _write(args.out, method, [doubt for _, doubt in found], shown)
    return 0


def _write(
    out: Path, method: Method, doubts: Sequence[Doubt], shown: Sequence[tuple[NDArray[np.uint8], Doubt]]
) -> None:
    write_text(out / TABLE_FILE, doubts_table(doubts))
    write_text(out / PAGE_FILE, render_page(method, doubts, shown))
    count = sum(doubt.copies for doubt in doubts)
    say(f"{count:,} of {method.faces:,} labels are doubtful; look at {out / PAGE_FILE}")
    hand_over(out / TABLE_FILE)
    hand_over(out / PAGE_FILE)


def settings_of(args: argparse.Namespace) -> Settings:
    """Return what each fold is trained with: the published recipe over few epochs, with a rate that falls to zero."""
    settings = recipe("published", args.framework, args.model)
    given = {
        name: getattr(args, name) for name in ("precision", "device", "threads") if getattr(args, name) is not None
    }
    return replace(settings, epochs=args.epochs, schedule="cosine", seed=args.seed, split=SplitPlan(), **given)
