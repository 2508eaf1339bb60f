"""Keeps what was measured as a record: with the machine, the load, the command and the time that it took."""

import os
import platform
import re
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from data.errors import InputError, printable
from data.files import write_json
from inference.benchmark.document import VERSION, BenchmarkMachine, BenchmarkRecord, Contest, Kind
from inference.benchmark.quiet import processors_busy
from inference.machine import available_cpus, processor_name


def check_place(out: Path, name: str | None) -> None:
    """Make the folder of a record, which is written when all is measured.

    Raises:
        InputError: its name belongs in no file's, or the folder cannot be written to.
        OSError: the folder cannot be made.
    """
    if name is not None and not re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", name):
        raise InputError(f"--name is {name!r}, expected up to 80 letters, digits, ., - and _")
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK):
        raise InputError(f"--out is {out}, which cannot be written to; name another folder")


@dataclass(frozen=True)
class Measuring:
    """A benchmark under way: made before anything is started, so that it sees what others do on the machine.

    `threads` are what each contender is given, `seconds` how long a turn is.
    """

    kind: Kind
    threads: int
    seconds: float
    busy: float | None = field(default_factory=processors_busy)
    began: float = field(default_factory=time.perf_counter)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def keep(self, command: str, contests: Sequence[Contest], out: Path, name: str | None) -> Path:
        """Write the record into a folder and return its path; without a name it has its kind's and the time's."""
        record = BenchmarkRecord(
            version=VERSION,
            kind=self.kind,
            command=command,
            created=self.created,
            machine=self._machine(),
            seconds=time.perf_counter() - self.began,
            turn_seconds=self.seconds,
            contests=tuple(contests),
        )
        path = out / f"{name or f'{self.kind}-' + re.sub('[^0-9]', '', self.created[:19])}.json"
        write_json(path, record.to_dict())
        return path

    def _machine(self) -> BenchmarkMachine:
        return BenchmarkMachine(
            processor=processor_name(),
            processors=available_cpus(),
            threads=self.threads,
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            busy_before=self.busy,
            busy_after=processors_busy(),
        )


def command_line(program: Sequence[str], words: Sequence[str] | None = None) -> str:
    """Return a command line, of this process unless told otherwise, with files by their names alone: folders of this
    machine mean nothing elsewhere."""
    words = sys.argv[1:] if words is None else words
    return printable(shlex.join([*program, *(Path(word).name if "/" in word else word for word in words)]))
