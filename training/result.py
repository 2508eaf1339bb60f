"""Keeps what a training came to, small enough to commit: `ferox keep-result RUN REPORT...`.

A result joins a run's record with a report of the model that was exported from it, after checking that they belong
together; `ferox results` makes tables of results. Each file written is a line of stdout.
"""

import argparse
from pathlib import Path

from data.errors import InputError
from data.files import write_json
from data.terminal import hand_over
from inference.report.document import Report, read_report
from inference.report.training_result import RESULT_VERSION, EpochFigures, FinishedRun, TrainingResult
from inference.results import read as read_result
from training.history import EpochRecord, read_history
from training.run import RunRecord, read_record

LEFT_OUT = ("data_path", "progress", "checkpoints")


def run(args: argparse.Namespace) -> int:
    """Write a result of the run `args.run` for each of `args.reports`, into `args.out`."""
    for report in args.reports:
        made = result(args.run, report)
        path = args.out / f"{made.report.name}.json"
        _refuse_other(path, made)
        write_json(path, made.to_dict())
        hand_over(path)
    return 0


def result(run: Path, report: Path) -> TrainingResult:
    """Return a run's record and epochs together with one report of its model.

    Raises:
        InputError: one of them cannot be read, the run is not finished, or the report is of another model.
    """
    record = read_record(run)
    if record.status != "finished" or record.best is None:
        raise InputError(f"{run} is {record.status}, expected a finished run; go on: ferox train --resume {run}")
    evaluated = read_report(report)
    _check(record, evaluated, run, report)
    kept = {name: value for name, value in vars(record).items() if name not in LEFT_OUT}
    finished = FinishedRun(**kept | {"settings": record.settings.record()}, name=run.name, best=record.best)
    return TrainingResult(
        result=RESULT_VERSION, run=finished, epochs=tuple(map(_epoch, read_history(run))), report=evaluated
    )


def _epoch(line: EpochRecord) -> EpochFigures:
    return EpochFigures(**{name: value for name, value in vars(line).items() if name != "classes"})


def _refuse_other(path: Path, made: TrainingResult) -> None:
    if not path.exists():
        return
    before = read_result(path)
    checkpoint, new_checkpoint = (
        before.run.best.sha256 if isinstance(before, TrainingResult) else "of no run",
        made.run.best.sha256,
    )
    if checkpoint != new_checkpoint:
        raise InputError(
            f"{path} is of another run's checkpoint ({checkpoint[:12]}, this one is {new_checkpoint[:12]}); rename it, "
            "or export this run with a --tag and evaluate what comes of it"
        )


def _check(record: RunRecord, evaluated: Report, run: Path, report: Path) -> None:
    manifest = evaluated.manifest
    if record.best is None or manifest.checkpoint_sha256 != record.best.sha256:
        raise InputError(
            f"{report} is of a model with the checkpoint {manifest.checkpoint_sha256[:12]}, which is not the best "
            f"of {run}; export that run, and evaluate what comes of it"
        )
    on, correct = evaluated.evaluated_on, evaluated.figures.correct
    plain = manifest.precision == "fp32" and on.augmentation == "none" and on.part == "test"
    near_ties = len(manifest.parity.near_ties)
    if record.test and plain and on.same_faces and abs(correct - record.test.correct) > near_ties:
        raise InputError(
            f"{report} counts {correct:,} correct faces, the run itself {record.test.correct:,}; one of them is not "
            "of this model: evaluate it again"
        )
