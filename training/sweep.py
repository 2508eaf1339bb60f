"""Trains a grid of models, frameworks and optimisers: `python -m training sweep --models published --optimizers all`.

Every combination is a training in a process of its own, in a folder of its own below `--out`. The same command goes on
where an interrupted sweep stopped; a training that fails costs only itself, and is tried again then. Options that are
not the sweep's own are handed to every training. The last lines of stdout are the tables that were written.
"""

import argparse
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from data.commands import said_in
from data.documents import read_document
from data.errors import InputError
from data.files import write_json, write_text
from data.load import load
from data.locks import take
from data.splits import split
from training.grid import FAILURE_FILE, Job, Plan, State, find_run, grid, read_state, share, table, write_tables
from training.options import check_framework, parse, settings_from
from training.recipe import CHOICES, FRAMEWORKS
from training.run import LOCK_FILE, read_record

PLAN_FILE, LOG_FILE = "sweep.json", "training.log"
POLL_SECONDS = 1.0


def main(arguments: list[str]) -> int:
    """Run a sweep, or go on with it; 0 if every training finished, 1 if one failed, 128 + a signal's number."""
    args, common = _parser().parse_known_args(arguments)
    jobs = grid(args.models, args.frameworks, args.optimizers, args.folds)
    _check(jobs, args.folds, common)
    _keep_plan(args.out, jobs, common)
    stopped = _Stop()
    for job in jobs:
        if read_state(args.out / job.name).status != "finished" and not stopped.number:
            _train(job, args, common, jobs, stopped)
    states = {job: read_state(args.out / job.name) for job in jobs}
    print(table(states), file=sys.stderr)
    if stopped.number:
        again = shlex.join(["python", "-m", "training", "sweep", *arguments])
        print(f"stopped; the same command goes on: {again}", file=sys.stderr)
        return 128 + stopped.number
    for path in write_tables(args.out, states):
        print(path)
    return int(any(state.status != "finished" for state in states.values()))


class _Stop:
    """Remembers SIGINT or SIGTERM, and hands it to the training at work."""

    def __init__(self) -> None:
        self.number = 0
        self.child: subprocess.Popen[str] | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def _stop(self, number: int, _: object) -> None:
        self.number = number
        if self.child is not None and self.child.poll() is None:
            self.child.send_signal(number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training sweep", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add(
        "--models",
        nargs="+",
        default=["published"],
        help="names, `published` (the eight) or `all` (default: published)",
    )
    add("--frameworks", nargs="+", default=["all"], help=f"{', '.join(FRAMEWORKS)} or `all` (default: all)")
    add("--optimizers", nargs="+", default=["adam"], help=f"{', '.join(CHOICES['optimizer'])} or `all` (default: adam)")
    add("--folds", type=int, help="cross-validate: train every combination this many times")
    add("--out", type=Path, default=Path("artifacts/sweep"), help="the sweep's folder (default: artifacts/sweep)")
    return parser


def _check(jobs: list[Job], folds: int | None, common: list[str]) -> None:
    """Refuse what a training would refuse, before the first one begins."""
    taken = ("--resume", "--finish", "--time-limit", "--ask-ahead", "--framework", "--model", "--optimizer", "--fold")
    if odd := [option for option in common if option.split("=")[0] in taken]:
        raise InputError(
            f"{' '.join(odd)} belongs to one training; the grid is given by --models, --frameworks and so on"
        )
    options = [parse([*job.options(folds), *common]) for job in jobs]
    plans = {settings_from(given).split for given in options}
    for framework in {job.framework for job in jobs}:
        check_framework(framework, "--frameworks")
    faces = load(options[0].data, options[0].classes, skip_bad_rows=options[0].skip_bad_rows)
    for plan in plans:
        split(faces, plan)


def _keep_plan(out: Path, jobs: list[Job], common: list[str]) -> None:
    plan = Plan(tuple(common), tuple(jobs))
    file = out / PLAN_FILE
    if not file.exists():
        write_json(file, asdict(plan))
    elif read_document(Plan, file, "restore it or choose another --out") != plan:
        raise InputError(
            f"{out} holds another sweep (see {file.name}); choose another --out, or repeat its own command"
        )


def _train(job: Job, args: argparse.Namespace, common: list[str], jobs: list[Job], stopped: _Stop) -> None:
    """Train one job. It holds its folder's lock for as long as the training lives, which inherits it: a sweep that was
    killed leaves its training at work."""
    folder = args.out / job.name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a") as lock:
        if not take(lock):
            print(f"{job.name}: waiting for the training that is at work in {folder}", file=sys.stderr, flush=True)
            while not stopped.number and not take(lock):
                time.sleep(POLL_SECONDS)
        if not stopped.number and read_state(folder).status != "finished":
            try:
                options = _options(job, folder, args.folds, common)
            except InputError as error:
                # Its own document is damaged; the others need not wait for someone to look at it.
                write_text(folder / FAILURE_FILE, str(error))
                print(f"{job.name}: failed {error}", file=sys.stderr, flush=True)
                return
            with (folder / LOG_FILE).open("a") as log:
                before = log.tell()
                stopped.child = subprocess.Popen(
                    [sys.executable, "-m", "training", *options],
                    stdout=log,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                    pass_fds=[lock.fileno()],
                )
                # A signal that came while it was being started has found no child to hand it to.
                if stopped.number:
                    stopped.child.send_signal(stopped.number)
                _watch(stopped.child, job, args.out, jobs)
            _conclude(stopped.child.returncode, stopped.number, folder, before)
    state = read_state(folder)
    print(f"{job.name}: {state.status} {state.note or share(state.accuracy)}", file=sys.stderr, flush=True)


def _options(job: Job, folder: Path, folds: int | None, common: list[str]) -> list[str]:
    run = find_run(folder)
    if run is not None and read_record(run).progress is not None:
        return ["--resume", str(run)]
    return [*job.options(folds), *common, "--out", str(folder)]


def _watch(child: "subprocess.Popen[str]", job: Job, out: Path, jobs: list[Job]) -> None:
    screen = _Screen()
    while child.poll() is None:
        screen.show({job: read_state(out / job.name) for job in jobs}, job)
        try:
            child.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def _conclude(status: int | None, stopped: int, folder: Path, before: int) -> None:
    """Keep why a training failed, by its exit status and what its log has from the byte `before` on."""
    if status and not stopped:
        write_text(folder / FAILURE_FILE, _reason(status, (folder / LOG_FILE).read_bytes()[before:]))
    else:
        (folder / FAILURE_FILE).unlink(missing_ok=True)


def _reason(status: int, log: bytes) -> str:
    if status < 0:
        return f"ended by {signal.Signals(-status).name}{', perhaps for want of memory' if status == -9 else ''}"
    return said_in(log.decode(errors="replace"))[:300] or f"exit status {status}, without a word"


class _Screen:
    """The table of all jobs, redrawn in place on a terminal; nothing elsewhere."""

    def __init__(self) -> None:
        self.lines = 0

    def show(self, states: dict[Job, State], running: Job) -> None:
        if not sys.stderr.isatty():
            return
        text = table(
            {job: replace(state, status="running") if job == running else state for job, state in states.items()}
        )
        above = f"\x1b[{self.lines}F\x1b[J" if self.lines else ""
        print(above + text, file=sys.stderr, flush=True)
        self.lines = text.count("\n") + 1
