"""A sweep's trials as tasks of Ray: each is trained on whichever machine has room, under a lease of its folder.

What a trial has reached is in the shared folder, and who trains it there, too. Ray only starts processes: where it
loses one, the trial is given again once its lease is free, and goes on from its last epoch.
"""

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data.commands import said_in
from data.errors import InputError
from data.leases import Watch, newest
from data.terminal import say
from inference.cluster import check_room, refusal
from training.grid import PLAN_FILE, Trial, TrialState, read_state, share
from training.screen import Screen
from training.trial import LONGEST_REASON, without_ray

LOOK_SECONDS = 1.0
# Longer than a training's holder gives it to write its state.
STOP_SECONDS = 45.0
MOST_LOSSES = 3
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """Where a sweep's trainings go, and what each asks for.

    Attributes:
        address: `HOST:PORT`, or `local`.
        cpus: processors of a training.
        gpus: GPUs of a training, a share below 1 or a whole number.
        lease: seconds without a sign after which a machine is taken for lost.
    """

    address: str
    cpus: int = 1
    gpus: float = 0.0
    lease: float = 60.0

    def __post_init__(self) -> None:
        if self.cpus < 1:
            raise InputError(f"--ray-cpus is {self.cpus}, expected 1 or more")
        if not 0 <= self.gpus <= 64 or (self.gpus > 1 and self.gpus != int(self.gpus)):
            raise InputError(f"--ray-gpus is {self.gpus:g}, expected a share up to 1, or a whole number up to 64")
        if not 1 <= self.lease <= 86400:
            raise InputError(f"--ray-lease is {self.lease:g}, expected 1 to 86400 seconds")


@dataclass(frozen=True)
class Order:
    """What a task is told: a trial's folder, the lease that it may claim, and where and as what to train.

    `folder` is where relative paths start from; `plan` is the sha256 of the sweep's plan, by which a machine finds out
    that it does not see the same folder; `version` is ferox's.
    """

    place: Path
    number: int
    seconds: float
    options: tuple[str, ...]
    folder: Path
    plan: str
    version: str


def train(order: Order) -> tuple[str, str]:
    """Train as a task of Ray, in processes of its own; return the outcome, see `training.leased`, and why it was lost.

    Raises:
        InputError: this machine sees another folder, or has another ferox.
    """
    _check_machine(order)
    words = [str(order.place), str(order.number), str(order.seconds), *order.options]
    holder = subprocess.Popen(
        [sys.executable, "-m", "training.leased", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=order.folder if order.folder.is_dir() else "/",
        env=without_ray() | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        start_new_session=True,
    )
    # What is cancelled is interrupted here; to close its stdin is to end it.
    with suppress(KeyboardInterrupt):
        while holder.poll() is None:
            time.sleep(LOOK_SECONDS / 2)
    outcome, said = holder.communicate()
    if holder.returncode:
        return "lost", said_in(said)[:LONGEST_REASON] or f"its holder ended with status {holder.returncode}"
    return outcome.strip(), ""


def _check_machine(order: Order) -> None:
    host, own = socket.gethostname(), version("ferox")
    if own != order.version:
        raise InputError(f"{host} has ferox {own}, expected {order.version} as where it was started; install that")
    if _plan_digest(order.place.parent) != order.plan:
        raise InputError(
            f"{host} does not see the sweep in {order.place.parent}; expected a folder that all machines share; "
            "give it by --out"
        )


def _plan_digest(out: Path) -> str:
    try:
        return hashlib.sha256((out / PLAN_FILE).read_bytes()).hexdigest()
    except OSError:
        return ""


@dataclass
class _Trial:
    """A trial that is not done: who holds it, and what it has lost."""

    watch: Watch
    is_awaited: bool = False
    losses: int = 0
    epoch: int | None = None


@dataclass
class Sharing:
    """Shares trials out to the machines of a cluster that has been joined.

    Attributes:
        ray: the module.
        out: the sweep's folder.
        words: every trial's options.
        settings: what each training asks for.
    """

    ray: Any
    out: Path
    words: Mapping[Trial, Sequence[str]]
    settings: ClusterSettings
    _open: dict[Trial, _Trial] = field(default_factory=dict)
    _running: dict[Any, Trial] = field(default_factory=dict)

    def run(self, is_stopped: Callable[[], bool]) -> None:
        """Have every trial trained that is not finished, until all have ended or it is stopped.

        Raises:
            InputError: no machine has room for a training, or one does not see the sweep's folder.
        """
        asked = self.settings
        check_room(self.ray, asked.address, asked.cpus, asked.gpus, "--threads, --ray-cpus or --ray-gpus")
        task = self.ray.remote(num_cpus=asked.cpus, num_gpus=asked.gpus, max_retries=0)(train)
        self._open = {trial: _Trial(Watch(self.out / trial.name, self.settings.lease)) for trial in self.words}
        screen = Screen()
        try:
            while self._open and not is_stopped():
                self._give(task)
                self._take()
                if sys.stderr.isatty():
                    screen.show(*self._standing())
        finally:
            self._stop()

    def _give(self, task: Any) -> None:
        given = set(self._running.values())
        for trial, state in list(self._open.items()):
            place = self.out / trial.name
            if trial in given or not self._is_free(trial, state):
                continue
            if read_state(place).status == "finished":
                self._close(trial)
                continue
            order = Order(
                place,
                newest(place) + 1,
                self.settings.lease,
                tuple(self.words[trial]),
                Path.cwd(),
                _plan_digest(self.out),
                version("ferox"),
            )
            self._running[task.options(name=trial.name).remote(order)] = trial

    def _is_free(self, trial: Trial, state: _Trial) -> bool:
        if state.watch.is_free():
            return True
        if not state.is_awaited:
            state.is_awaited = True
            say(f"{trial.name}: waiting until the one that trains it ends, or has given no sign for long enough")
        return False

    def _take(self) -> None:
        if not self._running:
            time.sleep(LOOK_SECONDS)
            return
        done, _ = self.ray.wait(list(self._running), num_returns=len(self._running), timeout=LOOK_SECONDS)
        for reference in done:
            trial = self._running.pop(reference)
            self._conclude(trial, *self._outcome(reference))

    def _outcome(self, reference: Any) -> tuple[str, str]:
        try:
            outcome: tuple[str, str] = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            raise refusal(error) from error
        except self.ray.exceptions.RayError as error:
            return "lost", type(error).__name__
        return outcome

    def _conclude(self, trial: Trial, outcome: str, reason: str) -> None:
        if outcome == "ended":
            self._close(trial)
        elif outcome != "taken":
            state, reached = self._open[trial], read_state(self.out / trial.name)
            state.losses = 1 if reached.epoch != state.epoch else state.losses + 1
            state.epoch, state.is_awaited = reached.epoch, False
            said = f"{trial.name}: {outcome} after epoch {reached.epoch or 0}{f' ({reason})' if reason else ''}"
            if state.losses < MOST_LOSSES:
                say(f"{said}; it goes on where there is room")
            else:
                say(f"error: {said}, {state.losses} times over; it is given up until the next time")
                del self._open[trial]

    def _close(self, trial: Trial) -> None:
        del self._open[trial]
        state = read_state(self.out / trial.name)
        say(f"{trial.name}: {state.status} {state.note or share(state.accuracy)}")

    def _standing(self) -> tuple[dict[Trial, TrialState], list[Trial]]:
        states = {trial: read_state(self.out / trial.name) for trial in self.words}
        return states, [trial for trial in self._running.values() if newest(self.out / trial.name)]

    def _stop(self) -> None:
        """Have what still trains write its state and end."""
        for reference in self._running:
            self.ray.cancel(reference)
        if self._running:
            self.ray.wait(list(self._running), num_returns=len(self._running), timeout=STOP_SECONDS)
