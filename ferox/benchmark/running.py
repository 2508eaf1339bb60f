"""Carries out what `ferox benchmark` asks for: contests in turns, their tables, and the record."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from data.draw import draw
from data.errors import InputError, printable
from data.load import load
from data.scratch import scratch_folder
from data.terminal import hand_over, progress_bar, say
from ferox.benchmark.command import TRAINED
from inference.benchmark import artifacts
from inference.benchmark.document import Absent, Contest, Precision
from inference.benchmark.keeping import Measuring, command_line
from inference.benchmark.lineup import Entry
from inference.benchmark.runner import Runner
from inference.benchmark.tables import absent_sentences, plain
from inference.benchmark.turns import Plan
from inference.benchmark.writing import write_document
from inference.catalogue import find_model
from inference.engine import Engine
from inference.machine import available_cpus
from training.forward import contenders, run_of
from training.run import read_record
from training.speed import TrainingSpeed, contests, torch_peaks

MOST_FACES = 10_000
SEED = 3
STEP_SECONDS, TURN_SECONDS = 5.0, 0.5


def write(document: Path, records: Sequence[Path]) -> int:
    """Put the tables of records into a document."""
    write_document(document, records)
    hand_over(document)
    return 0


def runtimes(args: argparse.Namespace) -> int:
    """Measure models in every runtime that is at hand."""
    plan = Plan(rounds=args.rounds, seconds=TURN_SECONDS if args.seconds is None else args.seconds)
    threads = args.threads or available_cpus()
    models = [find_model(name) for name in args.what]
    if twice := [model.stem for model in models if [other.stem for other in models].count(model.stem) > 1]:
        raise InputError(f"{twice[0]} is named twice; name each model once")
    manifests = [Engine.load(model, provider="cpu", threads=threads).manifest for model in models]
    _check_runs(args.run, {manifest.checkpoint_sha256 for manifest in manifests})
    peaks, absent = torch_peaks(get_args(Precision), threads)
    measuring = Measuring("runtimes", threads, plan.seconds)
    faces = _faces(args.data, args.faces)
    with scratch_folder("ferox-benchmark-") as folder:
        faces.tofile(folder / "pixels")

        def others(engine: Engine, entry: Entry) -> tuple[list[Runner], list[Absent]]:
            return contenders(run_of(engine.manifest, args.run), engine.manifest, args.frameworks, entry)

        field = artifacts.Field(faces, folder / "pixels", threads, others, peaks, absent)
        found = []
        for model in models:
            with _telling(printable(model.stem)) as tell:
                found.append(artifacts.contest(model, field, plan, tell))
            print(f"{plain(found[-1])}\n", flush=True)
            _tell_absent(found[-1])
    return _keep(measuring, found, args)


def training(args: argparse.Namespace) -> int:
    """Measure training steps in frameworks."""
    plan = Plan(rounds=args.rounds, seconds=STEP_SECONDS if args.seconds is None else args.seconds, starts=1)
    wanted = TrainingSpeed(
        args.frameworks or ["torch"], args.models or TRAINED, args.precisions or ["fp32"], args.threads
    )
    measuring, found = Measuring("training", args.threads or available_cpus(), plan.seconds), []
    with _telling("training") as tell:
        for contest in contests(wanted, plan, tell):
            found.append(contest)
            print(f"{plain(contest)}\n", flush=True)
            _tell_absent(contest)
    return _keep(measuring, found, args)


@contextmanager
def _telling(heading: str) -> Iterator[Callable[[str], None]]:
    """Yield what shows the step that is being taken, on a terminal."""
    with progress_bar(heading, bar_format="{desc}: {postfix} ({elapsed})") as bar:
        yield bar.set_postfix_str


def _check_runs(runs: Sequence[Path], checkpoints: set[str]) -> None:
    for run in runs:
        best = read_record(run).best
        if best is None or best.sha256 not in checkpoints:
            raise InputError(
                f"--run {run} is the run of none of the models; name the one that a model was exported from"
            )


def _faces(data: Path | None, count: int) -> NDArray[np.uint8]:
    """Return `count` faces uint8[N, 48, 48], drawn ones where no data is given; all where there are fewer."""
    if not 1 <= count <= MOST_FACES:
        raise InputError(f"--faces is {count}, expected 1 to {MOST_FACES:,}")
    faces = draw(max(count, 100), seed=SEED) if data is None else load(data)
    chosen = np.linspace(0, len(faces.pixels) - 1, min(count, len(faces.pixels))).astype(int)
    return np.ascontiguousarray(faces.pixels[chosen])


def _tell_absent(contest: Contest) -> None:
    for sentence in absent_sentences(contest):
        say(sentence)


def _keep(measuring: Measuring, found: Sequence[Contest], args: argparse.Namespace) -> int:
    words = sys.argv[sys.argv.index("benchmark") + 1 :] if "benchmark" in sys.argv else args.what
    hand_over(measuring.keep(command_line(("ferox", "benchmark"), list(map(str, words))), found, args.out, args.name))
    return 0
