"""The benchmark's side of a conversation with one contender's process; see `inference.benchmark.messages`."""

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from data.commands import said_in
from data.documents import parse_document
from data.errors import InputError, printable
from inference.benchmark.messages import Ready, Request

Reply = TypeVar("Reply")
# How long an answer is waited for: a network is compiled within it, and a process that hangs holds up no other longer.
PATIENCE = 600.0
LONGEST_REASON, LONGEST_LOG = 300, 100_000


@dataclass(frozen=True)
class Runner:
    """A process that can take part.

    Attributes:
        name: what it is called.
        command: how it is started, with `variables` beside those of this process.
        turns: which turns it is asked for in each round.
        answers: whether it gives answers, which can be compared.
        starts_count: whether its start is of interest, and is repeated.
    """

    name: str
    command: tuple[str, ...]
    turns: tuple[Request, ...]
    answers: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)
    starts_count: bool = True


class ContenderError(Exception):
    """A contender's process ended, or said what cannot be used; the message is the reason."""


class Conversation:
    """A process that is asked for one thing after another. `end` it in any case."""

    def __init__(self, runner: Runner, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.began = time.perf_counter()
        self._closing = ExitStack()
        self._log = os.memfd_create(runner.name)
        self._closing.callback(os.close, self._log)
        self._unread = b""
        try:
            self._process = subprocess.Popen(
                runner.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=os.environ | dict(runner.variables),
            )
        except OSError as error:
            self._closing.close()
            raise ContenderError(f"{runner.command[0]} cannot be started ({error.strerror or error})") from error

    def ready(self) -> tuple[Ready, float]:
        """Wait for its first answer; return what it says, and the seconds since it was started."""
        ready = self._reply(Ready)
        return ready, time.perf_counter() - self.began

    def ask(self, request: Request, kind: type[Reply]) -> Reply:
        """Return its reply to a request.

        Raises:
            ContenderError: it has ended, takes too long, or says something else.
        """
        line = json.dumps(asdict(request)).encode() + b"\n"
        try:
            os.write(self._input, line)
        except BrokenPipeError:
            raise ContenderError(self._last_words()) from None
        return self._reply(kind)

    def end(self) -> None:
        """Let it end, and see to it that it does."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._closing.close()

    @property
    def _input(self) -> int:
        assert self._process.stdin is not None
        return self._process.stdin.fileno()

    def _reply(self, kind: type[Reply]) -> Reply:
        line = self._line()
        try:
            return parse_document(kind, line, "its reply", "")
        except InputError as error:
            raise ContenderError(f"it answers with what cannot be used: {error}".rstrip("; ")) from None

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        handle, ends = self._process.stdout.fileno(), time.monotonic() + self.patience
        while b"\n" not in self._unread:
            if not select.select([handle], [], [], max(0.0, ends - time.monotonic()))[0]:
                self._process.kill()
                raise ContenderError(f"it gave no answer within {self.patience:g} s")
            part = os.read(handle, 1 << 20)
            if not part:
                raise ContenderError(self._last_words())
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _last_words(self) -> str:
        """Return why the process has ended: by a signal, or by what it said last."""
        status = self._process.wait()
        start = max(0, os.fstat(self._log).st_size - LONGEST_LOG)
        log = os.pread(self._log, LONGEST_LOG, start).decode(errors="replace")
        if status < 0:
            return f"its process was ended by {signal.Signals(-status).name}"
        lines = [line.strip() for line in log.splitlines() if line.strip()]
        reason = said_in(log) or (lines[-1] if lines else f"its process ended with status {status}")
        return printable(_without_places(reason))[:LONGEST_REASON]


def _without_places(reason: str) -> str:
    """Leave out this machine's folders: a record is for others."""
    home = str(Path.home())
    places = sorted({str(Path.cwd()), tempfile.gettempdir(), *([home] if home != "/" else [])}, key=len)
    for place in reversed(places):
        reason = reason.replace(f"{place}/", "")
    return reason
