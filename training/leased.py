"""Trains one trial under a lease, for sweeps that many machines share: `python -m training.leased FOLDER NUMBER ...`.

It is a process between whoever gives the work and the training: it keeps the lease's beat, it ends the training where
the lease may be lost, and it ends itself when its stdin is closed, so that a lost giver leaves nothing at work. What
became of it is the last word on stdout, one of `Outcome`.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Literal

from data.commands import run_command
from data.errors import InputError
from data.files import write_text
from data.leases import Lease, claim, held_folders
from training.grid import FAILURE_FILE, find_run, read_state
from training.inherit import inherit
from training.trial import LOG_FILE, conclude, training_command, without_ray

# ended: the trial's folder says how; stopped: by whoever gave it; taken: by another holder before it began; lost: the
# lease, and with it the training, from its last epoch on.
Outcome = Literal["ended", "stopped", "taken", "lost"]
BEATS_A_LEASE = 8
LOOK_SECONDS = 0.5
# A training ends after the step at hand, and writes its state.
STOP_SECONDS = 30.0
PR_SET_PDEATHSIG = 1


def main() -> int:
    """Read the words `FOLDER NUMBER SECONDS OPTION...`, train, and print the outcome."""
    place, number, seconds, *options = sys.argv[1:]
    lease = claim(Path(place), int(number), float(seconds))
    print("taken" if lease is None else Holder(lease).train(options), flush=True)
    return 0


class Holder:
    """A lease, and the training that it is for."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.child: subprocess.Popen[bytes] | None = None
        self._stop_at: float | None = None
        self._next_beat = 0.0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._stop())

    def train(self, options: list[str]) -> Outcome:
        """Begin the trial with `options`, or go on from where the holder before came to."""
        folder = self.lease.folder
        if not self._beats():
            return "lost"
        try:
            command = training_command(self._inherited(), options, folder)
            if read_state(folder).status == "finished":
                self.lease.release()
                return "ended"
        except InputError as error:
            # A damaged document; the other trials need not wait for someone to look at it.
            write_text(folder / FAILURE_FILE, str(error))
            self.lease.release()
            return "ended"
        with (folder / LOG_FILE).open("ab") as log:
            status = self._supervised(command, log)
        if status is None:
            return "lost"
        stopped = 0 if self._stop_at is None else signal.SIGTERM
        conclude(status, stopped, folder, 0)
        self.lease.release()
        return "stopped" if stopped and status else "ended"

    def _inherited(self) -> Path | None:
        for earlier in held_folders(self.lease.folder.parent)[1:]:
            if (run := find_run(earlier)) is not None:
                return inherit(run, self.lease.folder)
        return None

    def _supervised(self, command: list[str], log: IO[bytes]) -> int | None:
        """Return a training's exit status, or None where the lease was lost before it ended."""
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=without_ray(),
            preexec_fn=_dying_with(os.getpid()),
        )
        if self._stop_at is not None:  # There was no child yet to hand it to.
            self.child.terminate()
        given = [sys.stdin]
        while (status := self.child.poll()) is None:
            if not self._beats():
                self.child.kill()
                self.child.wait()
                return None
            # What closes it is the end of whoever gave the work; nothing is ever written to it.
            if select.select(given, [], [], LOOK_SECONDS)[0]:
                given = []
                self._stop()
            if self._stop_at is not None and time.monotonic() > self._stop_at:
                self.child.kill()
        return status

    def _beats(self) -> bool:
        if time.monotonic() < self._next_beat:
            return True
        self._next_beat = time.monotonic() + self.lease.seconds / BEATS_A_LEASE
        return self.lease.beat()

    def _stop(self) -> None:
        if self._stop_at is None:
            self._stop_at = time.monotonic() + STOP_SECONDS
            if self.child is not None:
                self.child.terminate()


def _dying_with(parent: int) -> Callable[[], None] | None:
    """Return what a child does before it starts, so that it does not outlive this process, however that ends.

    None where that is not Linux: what is left then writes into a folder at which nobody looks any more.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def bind() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return bind


if __name__ == "__main__":
    run_command(main)
