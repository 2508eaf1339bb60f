"""One trial of a sweep as a process of its own: with which words it is started, and why it failed."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from data.commands import said_in
from data.files import write_text
from training.grid import FAILURE_FILE
from training.run import read_record

LOG_FILE = "training.log"
LONGEST_REASON = 300


def training_command(run: Path | None, options: Sequence[str], folder: Path) -> list[str]:
    """Return the command that goes on with a run, or begins one below `folder` with these options.

    Raises:
        InputError: the run's record is damaged.
    """
    resumable = run is not None and read_record(run).progress is not None
    words = ["--resume", str(run)] if resumable else [*options, "--out", str(folder)]
    return [sys.executable, "-m", "training", *words]


def conclude(status: int | None, stopped: int, folder: Path, before: int) -> None:
    """Keep why a training failed, by its exit status and what its log has from the byte `before` on."""
    if status and not stopped:
        write_text(folder / FAILURE_FILE, _reason(status, (folder / LOG_FILE).read_bytes()[before:]))
    else:
        (folder / FAILURE_FILE).unlink(missing_ok=True)


def without_ray() -> dict[str, str]:
    """Return this process's variables without Ray's: its token is not for trainings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}


def _reason(status: int, log: bytes) -> str:
    if status < 0:
        return f"ended by {signal.Signals(-status).name}{', perhaps for want of memory' if status == -9 else ''}"
    return said_in(log.decode(errors="replace"))[:LONGEST_REASON] or f"exit status {status}, without a word"
