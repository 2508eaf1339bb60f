"""One training at a time, in a process of its own that outlives the page and even this server.

The run folder is the state. What it cannot say is in `current.json` beside the runs: which one is shown, and whether
it was stopped for good. A training holds a lock on a file for as long as it lives, so that its process id, written into
that file, is never another's.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal

from data.commands import said_in
from data.documents import STRICT, parse_document
from data.errors import InputError, printable
from data.files import write_json
from data.locks import is_taken, locked
from training.run import RECORD_FILE, RunRecord, read_record

Status = Literal["none", "starting", "running", "pausing", "paused", "stopped", "finished", "failed"]

FOLDER_LINE = "run folder: "
END_WAIT = 120.0  # Seconds that a step and the saving of a state may take.
LOOK_WAIT = 0.5  # Seconds for others that look whether a training runs, which takes the lock for a moment.


@dataclass(frozen=True)
class Current:
    """The training that is shown: how it stands, its folder and record once it has them, and why it failed.

    `reason` is empty for one that failed without a word.
    """

    status: Status
    title: str = ""
    folder: Path | None = None
    record: RunRecord | None = None
    reason: str = ""

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        return self.status in ("starting", "running", "pausing")


@dataclass(frozen=True)
class SupervisedTraining:
    """What `current.json` says: which training is shown, and whether it is to run, or was asked to pause or to stop."""

    __pydantic_config__: ClassVar = STRICT

    title: str
    folder: str | None
    wish: Literal["run", "pause", "stop"]


class Supervisor:
    """The training below a folder of runs. Safe to use from several threads."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self._state = runs / ".demo" / "current.json"
        self._lock = runs / ".demo" / "lock"
        self._log = runs / ".demo" / "training.log"
        self._own = threading.RLock()
        self._child: subprocess.Popen[bytes] | None = None

    def current(self) -> Current:
        """Return how the training stands."""
        with self._own:
            try:
                state = self._read()
            except InputError as error:
                return Current("failed", reason=str(error))
            if state is None:
                return Current("none")
            alive, title = False, state.title
            try:
                with _usable_system():
                    alive = self._process() is not None
                    folder = self._folder(state)
                    record = read_record(folder) if folder and (folder / RECORD_FILE).exists() else None
            except InputError as error:
                return Current("starting" if alive else "failed", title, self._folder(state), reason=str(error))
            status = _status(alive, record, state.wish)
            reason = self._reason() if status == "failed" else ""
            return Current(status, title, folder, record, reason)

    def start(self, title: str, arguments: Sequence[str]) -> None:
        """Start `python -m training` with these arguments.

        Raises:
            InputError: another one runs, or the runs' folder or the system does not allow it.
        """
        with self._own, _usable_system():
            self._launch(["--out", str(self.runs), *arguments], SupervisedTraining(title, None, "run"))

    def resume(self) -> None:
        """Go on with the training that was paused; an `InputError` as for `start`, and where there is none."""
        with self._own, _usable_system():
            now = self.current()
            if now.status not in ("paused", "stopped", "failed") or now.folder is None or now.record is None:
                raise InputError(f"the training is {now.status}: expected a paused one; start a new one")
            self._launch(["--resume", str(now.folder)], SupervisedTraining(now.title, str(now.folder), "run"))

    def pause(self) -> None:
        """Ask the training to save its state and end; an `InputError` where there is none, or it cannot be asked."""
        self._end("pause")

    def stop(self) -> None:
        """End the training for good; what it has learned stays in its run folder. An `InputError` as for `pause`."""
        self._end("stop")

    def wait(self, seconds: float = END_WAIT) -> None:
        """Wait until no training runs; an `InputError` if that takes too long, or cannot be found out."""
        deadline = time.monotonic() + seconds
        with _usable_system():
            while self._process() is not None:
                if time.monotonic() > deadline:
                    raise InputError(
                        "the training has not ended yet: expected it to save its state; try again in a while"
                    )
                time.sleep(0.1)

    def _end(self, wish: Literal["pause", "stop"]) -> None:
        with self._own, _usable_system():
            state = self._read()
            if state is None:
                raise InputError("there is no training: expected one to pause or stop; start one")
            process = self._process()
            write_json(self._state, asdict(SupervisedTraining(state.title, _text(self._folder(state)), wish)))
            # A second signal would end it at once, before its state is saved.
            if process is not None and state.wish == "run":
                os.kill(process, signal.SIGTERM)

    def _launch(self, arguments: Sequence[str], state: SupervisedTraining) -> None:
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._lock, os.O_RDWR | os.O_CREAT, LOOK_WAIT) as handle:
            if handle is None:
                raise InputError("a training is running already: expected none; pause or stop it first")
            os.ftruncate(handle, 0)
            write_json(self._state, asdict(state))
            command = [sys.executable, "-m", "training", *arguments]
            with self._log.open("wb") as log:
                # The lock goes with the process; it is given back when that ends, however it ends.
                self._child = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, pass_fds=[handle]
                )
            os.pwrite(handle, str(self._child.pid).encode(), 0)

    def _process(self) -> int | None:
        """Return the training's process id, or None where none runs."""
        with self._own:
            if self._child is not None:
                self._child.poll()
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            if not is_taken(self._lock):
                return None
            # Empty while it is being started.
            written = self._lock.read_text().strip() or "0"
            if not written.isdecimal():
                raise InputError(
                    f"the training's lock holds {printable(written)[:20]!r}: expected a process id; end the training "
                    "by hand, then start a new one"
                )
            return int(written) or None

    def _read(self) -> SupervisedTraining | None:
        """Return which training is shown, None before the first; an `InputError` where that cannot be made out."""
        if not self._state.exists():
            return None
        return parse_document(SupervisedTraining, self._state.read_bytes(), self._state.name, "start a new training")

    def _folder(self, state: SupervisedTraining) -> Path | None:
        if state.folder:
            return Path(state.folder)
        for line in self._lines():
            if line.startswith(FOLDER_LINE):
                return Path(line.removeprefix(FOLDER_LINE))
        return None

    def _reason(self) -> str:
        """Return why the training failed; a process that was killed has not said."""
        return said_in("\n".join(self._lines()))

    def _lines(self) -> list[str]:
        try:
            return self._log.read_text(errors="replace").splitlines()
        except OSError:
            return []


@contextmanager
def _usable_system() -> Iterator[None]:
    """Turn what the disk or the system refuses into an `InputError` without a path of this machine."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"the training cannot be reached or started ({error.strerror or type(error).__name__}): expected a folder "
            "of runs that can be written, on a disk with room; free some, or start the page with another --runs"
        ) from error


def _status(alive: bool, record: RunRecord | None, wish: str) -> Status:
    if alive:
        return "pausing" if wish != "run" else "running" if record else "starting"
    if record is not None and record.status == "finished":
        return "finished"
    if wish == "stop":
        return "stopped"
    if wish == "pause" and record is not None:
        return "paused"
    return "none" if wish == "pause" else "failed"


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
