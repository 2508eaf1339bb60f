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

from data.documents import read_document
from data.errors import InputError
from data.files import write_json, write_text
from data.load import load
from data.locks import take
from data.splits import split
from data.terminal import hand_over, say
from inference.cluster import joined
from training.cluster import ClusterSettings, Sharing
from training.grid import (
    FAILURE_FILE,
    PLAN_FILE,
    SweepPlan,
    Trial,
    find_run,
    grid,
    read_state,
    share,
    table,
    write_tables,
)
from training.options import check_framework, parse, settings_from
from training.run import LOCK_FILE
from training.screen import Screen
from training.trial import LOG_FILE, conclude, training_command

POLL_SECONDS = 1.0


def run(args: argparse.Namespace, common: list[str], given: list[str]) -> int:
    """Run a sweep as `args` say, or go on with it; return the exit status.

    Args:
        args: the sweep's own options.
        common: those for every training.
        given: all words after `sweep`, for the sentence that says how to go on.
    """
    trials = grid(args.models, args.frameworks, args.optimizers, args.folds)
    threads = _check(trials, args.folds, common)
    asked = _cluster_settings(args, common, threads)
    plan = SweepPlan(tuple(common), tuple(trials), asked is not None)
    if asked is None:
        _keep_plan(args.out, plan)
        stopped = Stop()
        for trial in trials:
            if read_state(args.out / trial.name).status != "finished" and not stopped.number:
                _train(trial, args, common, trials, stopped)
    else:
        words = {trial: trial.options(args.folds) + common for trial in trials}
        if not threads:
            words = {trial: [*options, "--threads", str(asked.cpus)] for trial, options in words.items()}
        stopped = _train_on_cluster(args.out, plan, words, asked)
    states = {trial: read_state(args.out / trial.name) for trial in trials}
    print(table(states), file=sys.stderr)
    if stopped.number:
        again = shlex.join(["ferox", "sweep", *given])
        say(f"stopped; the same command goes on: {again}")
        return 128 + stopped.number
    for path in write_tables(args.out, states):
        hand_over(path)
    return 2 if any(state.status != "finished" for state in states.values()) else 0


class Stop:
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


def _check(trials: list[Trial], folds: int | None, common: list[str]) -> int | None:
    """Refuse what a training would refuse, before the first one begins; return how many threads each is given."""
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
    threads: int | None = options[0].threads
    return threads


def _cluster_settings(args: argparse.Namespace, common: list[str], threads: int | None) -> ClusterSettings | None:
    """Return what is asked of Ray, or None without `--ray`."""
    given = {name: getattr(args, f"ray_{name}") for name in ("cpus", "gpus", "lease")}
    given = {name: value for name, value in given.items() if value is not None}
    if args.ray is None:
        if given:
            name, value = min(given.items())
            raise InputError(f"--ray-{name} is {value:g}, but --ray does not say where; give that, too")
        return None
    settings = ClusterSettings(**{"address": args.ray, "cpus": threads or 1, **given})
    if settings.gpus == 0 and parse(["--model", "mlp_1", *common]).device == "cuda":
        raise InputError("--device is cuda, and Ray gives each training no GPU; say how much of one by --ray-gpus")
    return settings


def _keep_plan(out: Path, plan: SweepPlan) -> None:
    file = out / PLAN_FILE
    if not file.exists():
        write_json(file, asdict(plan))
        return
    other = read_document(SweepPlan, file, "restore it or choose another --out")
    if replace(other, leased=plan.leased) != plan:
        raise InputError(
            f"{out} holds another sweep (see {file.name}); choose another --out, or repeat its own command"
        )
    if other.leased and not plan.leased:
        raise InputError(f"{out} was begun with --ray; go on with --ray ADDRESS, or --ray local on this machine alone")
    if plan.leased and not other.leased:
        raise InputError(f"{out} was begun without --ray; go on without it, or choose another --out")


def _train_on_cluster(out: Path, plan: SweepPlan, words: dict[Trial, list[str]], settings: ClusterSettings) -> "Stop":
    with joined(settings.address) as ray:
        # Not before: where there is no cluster, nothing has begun.
        _keep_plan(out, plan)
        stopped = Stop()
        Sharing(ray, out.resolve(), words, settings).run(lambda: stopped.number > 0)
    return stopped


def _train(trial: Trial, args: argparse.Namespace, common: list[str], trials: list[Trial], stopped: Stop) -> None:
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
                words = [*trial.options(args.folds), *common]
                command = training_command(find_run(folder), words, folder)
            except InputError as error:
                # Its own document is damaged; the others need not wait for someone to look at it.
                write_text(folder / FAILURE_FILE, str(error))
                say(f"{trial.name}: failed {error}")
                return
            with (folder / LOG_FILE).open("a") as log:
                before = log.tell()
                stopped.child = subprocess.Popen(
                    command,
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
            conclude(stopped.child.returncode, stopped.number, folder, before)
    state = read_state(folder)
    say(f"{trial.name}: {state.status} {state.note or share(state.accuracy)}")


def _watch(child: "subprocess.Popen[str]", trial: Trial, out: Path, trials: list[Trial]) -> None:
    screen = Screen()
    while child.poll() is None:
        screen.show({trial: read_state(out / trial.name) for trial in trials}, [trial])
        try:
            child.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            continue
