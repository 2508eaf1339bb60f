"""Trains a grid of models, frameworks and optimisers: `ferox sweep --models published --optimizers all`.

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
from data.terminal import draw, hand_over, say
from training.grid import (
    FAILURE_FILE,
    SweepPlan,
    Trial,
    TrialState,
    find_run,
    grid,
    read_state,
    share,
    table,
    write_tables,
)
from training.options import check_framework, parse, settings_from
from training.run import LOCK_FILE, read_record

PLAN_FILE, LOG_FILE = "sweep.json", "training.log"
POLL_SECONDS = 1.0


def run(args: argparse.Namespace, common: list[str], given: list[str]) -> int:
    """Run a sweep as `args` say, or go on with it; return the exit status.

    Args:
        args: the sweep's own options.
        common: those for every training.
        given: all words after `sweep`, for the sentence that says how to go on.
    """
    trials = grid(args.models, args.frameworks, args.optimizers, args.folds)
    _check(trials, args.folds, common)
    _keep_plan(args.out, trials, common)
    stopped = _Stop()
    for trial in trials:
        if read_state(args.out / trial.name).status != "finished" and not stopped.number:
            _train(trial, args, common, trials, stopped)
    states = {trial: read_state(args.out / trial.name) for trial in trials}
    print(table(states), file=sys.stderr)
    if stopped.number:
        again = shlex.join(["ferox", "sweep", *given])
        say(f"stopped; the same command goes on: {again}")
        return 128 + stopped.number
    for path in write_tables(args.out, states):
        hand_over(path)
    return 2 if any(state.status != "finished" for state in states.values()) else 0


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


def _check(trials: list[Trial], folds: int | None, common: list[str]) -> None:
    """Refuse what a training would refuse, before the first one begins."""
    taken = ("--resume", "--finish", "--time-limit", "--ask-ahead", "--framework", "--model", "--optimizer", "--fold")
    if odd := [option for option in common if option.split("=")[0] in taken]:
        raise InputError(
            f"{' '.join(odd)} belongs to one training; the grid is given by --models, --frameworks and so on"
        )
    options = [parse([*trial.options(folds), *common]) for trial in trials]
    plans = {settings_from(given).split for given in options}
    for framework in {trial.framework for trial in trials}:
        check_framework(framework, "--frameworks")
    faces = load(options[0].data, options[0].classes, skip_bad_rows=options[0].skip_bad_rows)
    for plan in plans:
        split(faces, plan)


def _keep_plan(out: Path, trials: list[Trial], common: list[str]) -> None:
    plan = SweepPlan(tuple(common), tuple(trials))
    file = out / PLAN_FILE
    if not file.exists():
        write_json(file, asdict(plan))
    elif read_document(SweepPlan, file, "restore it or choose another --out") != plan:
        raise InputError(
            f"{out} holds another sweep (see {file.name}); choose another --out, or repeat its own command"
        )


def _train(trial: Trial, args: argparse.Namespace, common: list[str], trials: list[Trial], stopped: _Stop) -> None:
    """Train one trial.

    It holds its folder's lock for as long as the training lives, which inherits it: a sweep that was killed leaves its
    training at work.
    """
    folder = args.out / trial.name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a") as lock:
        if not take(lock):
            say(f"{trial.name}: waiting for the training that is at work in {folder}")
            while not stopped.number and not take(lock):
                time.sleep(POLL_SECONDS)
        if not stopped.number and read_state(folder).status != "finished":
            try:
                options = _options(trial, folder, args.folds, common)
            except InputError as error:
                # Its own document is damaged; the others need not wait for someone to look at it.
                write_text(folder / FAILURE_FILE, str(error))
                say(f"{trial.name}: failed {error}")
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
                _watch(stopped.child, trial, args.out, trials)
            _conclude(stopped.child.returncode, stopped.number, folder, before)
    state = read_state(folder)
    say(f"{trial.name}: {state.status} {state.note or share(state.accuracy)}")


def _options(trial: Trial, folder: Path, folds: int | None, common: list[str]) -> list[str]:
    run = find_run(folder)
    if run is not None and read_record(run).progress is not None:
        return ["--resume", str(run)]
    return [*trial.options(folds), *common, "--out", str(folder)]


def _watch(child: "subprocess.Popen[str]", trial: Trial, out: Path, trials: list[Trial]) -> None:
    screen = _Screen()
    while child.poll() is None:
        screen.show({trial: read_state(out / trial.name) for trial in trials}, trial)
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
    """The table of all trials, redrawn in place on a terminal; nothing elsewhere."""

    def __init__(self) -> None:
        self.lines = 0

    def show(self, states: dict[Trial, TrialState], running: Trial) -> None:
        if not sys.stderr.isatty():
            return
        text = table(
            {trial: replace(state, status="running") if trial == running else state for trial, state in states.items()}
        )
        above = f"\x1b[{self.lines}F\x1b[J" if self.lines else ""
        draw(above + text)
        self.lines = text.count("\n") + 1
