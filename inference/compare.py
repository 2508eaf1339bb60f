"""Settles which model to ship: `ferox compare MODEL... --data PATH`.

Every model is evaluated as by `evaluate`; what only a comparison can tell is written beside those reports, into
`comparison/`: `report.json` (see `docs/reports.md`), `compare.html`, and what each ensemble said.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data.load import load
from data.terminal import hand_over
from inference.catalogue import find_model
from inference.comparison.contenders import Contender, ContenderGroup, contender, contender_groups
from inference.comparison.document import Comparison, ComparisonSeconds
from inference.comparison.ensembles import check_ensembles, with_ensembles
from inference.comparison.measurements import with_latency, with_robustness
from inference.comparison.page import render_comparison
from inference.comparison.progress import Meter
from inference.comparison.record import comparison, write_comparison
from inference.comparison.summary import summary_table
from inference.engine import BATCH, Engine
from inference.machine import load_average
from inference.measure.evaluation import Assignment, assign, refuse_same_names
from inference.measure.latency import TimingPlan
from inference.measure.robustness import CONDITIONS, FACES
from inference.report.background import Writer, report_writer, write_here
from inference.report.document import Report
from inference.report.writer import Draft

FOLDER = "comparison"


@dataclass(frozen=True)
class Options:
    """What to compare beyond the evaluations.

    `ensembles` holds the names of each ensemble's models, none for a greedy pick; `latency_seconds` is the least time
    that each model is timed for, one face at a time.
    """

    ensembles: tuple[tuple[str, ...], ...] = ()
    robustness: bool = True
    latency: bool = True
    latency_seconds: float = 2.0

    @property
    def latency_plans(self) -> tuple[TimingPlan, TimingPlan]:
        """One face at a time, and full batches."""
        return (
            TimingPlan(batch=1, warm_up=10, runs=100, seconds=self.latency_seconds),
            TimingPlan(batch=BATCH, warm_up=2, runs=10, seconds=self.latency_seconds / 2),
        )


def main(args: argparse.Namespace) -> int:
    """Compare `args.models`; the table goes to stderr, the comparison's folder to stdout.

    Args:
        args: as for `inference.evaluate.main`, but tta (list[str]); and ensemble (list[list[str]]), no_robustness
            (bool), no_latency (bool), latency_seconds (float).

    Raises:
        InputError: the data or a model cannot be used, or a model may not be measured on these faces.
    """
    models = [find_model(named) for named in args.models]
    refuse_same_names(models)
    faces = load(args.data, args.classes, skip_bad_rows=args.skip_bad_rows)
    began = time.perf_counter()
    options = Options(
        tuple(map(tuple, args.ensemble)), not args.no_robustness, not args.no_latency, args.latency_seconds
    )
    engines = [Engine.load(path, provider=args.provider, threads=args.threads) for path in models]
    tasks = [
        assign(engine, faces, args.part, protocol=args.protocol, allow_seen=args.allow_seen, augmentation=augmentation)
        for engine in engines
        for augmentation in dict.fromkeys(args.tta)
    ]
    finished = compare(tasks, options, began, args.out, report_writer)
    contenders = [contender for group in finished.groups for contender in group.contenders]
    print(summary_table([_as_timed(one) for one in contenders if not one.is_ensemble]), file=sys.stderr)
    hand_over(write_finished(finished, args.out))
    return 0


def _as_timed(model: Contender) -> Report:
    """Return a model's report, whose images/s are those of one pass over the faces, with those of full batches in turns
    instead, where these were measured."""
    report = model.members[0].report
    if not model.timings:
        return report
    *_, batches = model.timings
    return replace(report, engine=replace(report.engine, images_per_second=batches.images_per_second))


@dataclass(frozen=True)
class Finished:
    """A comparison: the document of it, and the contenders that it is made from."""

    document: Comparison
    groups: tuple[ContenderGroup, ...]


def compare(
    tasks: Sequence[Assignment],
    options: Options,
    began: float,
    out: Path | None = None,
    writer: Writer = write_here,
) -> Finished:
    """Evaluate and compare models.

    Args:
        tasks: the models, each with its faces.
        options: what to compare.
        began: when the work began, by `time.perf_counter`.
        out: gets a folder for each model with its report; None writes nothing.
        writer: what writes these, `report_writer` in other processes.

    Raises:
        InputError: an ensemble cannot be made, or a model answers with anything but probabilities.
    """
    wanted, load = check_ensembles(tasks, options.ensembles), load_average()
    costs = [_seconds_per_face(task) for task in tasks]
    meter = Meter(_expected(tasks, costs, options))
    with nullcontext(_unwritten) if out is None else writer(out) as write:
        contenders = _evaluate(tasks, costs, write, meter)
        meter.stage("writing reports")
    engine_seconds = sum(one.members[0].evaluation.engine_seconds for one in contenders)
    seconds = ComparisonSeconds(time.perf_counter() - began, engine_seconds)
    groups = with_ensembles(contender_groups(contenders), wanted, meter)
    if options.robustness:
        groups = with_robustness(groups, meter)
    if options.latency:
        groups = with_latency(groups, options.latency_plans, meter)
    meter.stage("comparing")
    content = comparison(groups, seconds, load)
    meter.close()
    return Finished(content, tuple(groups))


def write_finished(finished: Finished, out: Path) -> Path:
    """Write the folder `comparison` into `out`, and return it."""
    page = render_comparison(finished.document, finished.groups)
    return write_comparison(finished.document, finished.groups, page, out / FOLDER)


def _unwritten(draft: Draft) -> None:
    """For those who want the figures alone."""


def _evaluate(
    tasks: Sequence[Assignment], costs: Sequence[float], write: Callable[[Draft], None], meter: Meter
) -> list[Contender]:
    contenders = {}
    # The quickest first: their reports are drawn while slower models run, so that hardly any is waited for at the end.
    by_time = sorted(zip(tasks, costs, strict=True), key=lambda pair: pair[1] * len(pair[0].indices))
    for task, cost in by_time:
        meter.stage(f"evaluating {task.engine.path.stem}")
        contenders[task.name] = evaluated = contender(task.evaluate(meter.counter(cost)), cost)
        write(Draft(evaluated.members[0].report, evaluated.answers))
    return [contenders[task.name] for task in tasks]


def _seconds_per_face(task: Assignment) -> float:
    faces = np.ascontiguousarray(task.faces.pixels[task.indices[:BATCH]])
    task.predictor.predict(faces)
    began = time.perf_counter()
    task.predictor.predict(faces)
    return (time.perf_counter() - began) / len(faces)


def _expected(tasks: Sequence[Assignment], costs: Sequence[float], options: Options) -> float:
    seconds = 0.0
    for task, cost in zip(tasks, costs, strict=True):
        seconds += cost * (len(task.indices) + len(task.validation))
        if options.robustness:
            seconds += cost * min(FACES, len(task.indices)) * (1 + len(CONDITIONS))
        if options.latency:
            seconds += sum(max(plan.seconds, plan.runs * plan.batch * cost) for plan in options.latency_plans)
        if () in options.ensembles:
            seconds += cost * len(task.split.validation)
    return seconds
