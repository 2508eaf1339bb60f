"""A conversation with a process of one's own: a JSON object a line, on its stdin and stdout.

It is asked for one thing after another, and answers each before the next. What else it or its libraries print goes to
its stderr, where the reason is looked for when it ends unasked.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any, TypeVar

from data.commands import run_command, said_in
from data.documents import parse_document
from data.errors import InputError

Reply = TypeVar("Reply")
Asked = TypeVar("Asked")
LONGEST_LOG = 100_000


class ConversationError(Exception):
    """The process cannot be started, has ended, or says what cannot be used; the message is the reason."""


class Conversation:
    """A process that is asked for one thing after another. `end` it in any case."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        variables: Mapping[str, str] | None = None,
        patience: float | None = None,
    ) -> None:
        """Start it.

        Args:
            name: what it is called.
            command: how it is started.
            variables: what its environment has besides this one's.
            patience: how many seconds a reply may take; None waits for as long as it lives.

        Raises:
            ConversationError: it cannot be started.
        """
        self.patience = patience
        self.began = time.perf_counter()
        self._closing = ExitStack()
        self._log = os.memfd_create(name)
        self._closing.callback(os.close, self._log)
        self._unread = b""
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=os.environ | dict(variables or {}),
            )
        except OSError as error:
            self._closing.close()
            raise ConversationError(f"{command[0]} cannot be started ({error.strerror or error})") from error

    def ask(self, request: Any, kind: type[Reply]) -> Reply:
        """Return its reply to a request, a dataclass.

        Raises:
            ConversationError: it has ended, takes too long, or says something else.
        """
        line = json.dumps(asdict(request)).encode() + b"\n"
        try:
            os.write(self._input, line)
        except BrokenPipeError:
            raise ConversationError(self._last_words()) from None
        return self.listen(kind)

    def listen(self, kind: type[Reply]) -> Reply:
        """Return what it says next; see `ask`."""
        line = self._line()
        try:
            return parse_document(kind, line, "its reply", "")
        except InputError as error:
            raise ConversationError(f"it answers with what cannot be used: {error}".rstrip("; ")) from None

    def end(self) -> None:
        """Let it end, and see to it that it does."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._closing.close()

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does; another thread may wait for its reply."""
        self._process.kill()
        self._process.wait()

    @property
    def _input(self) -> int:
        assert self._process.stdin is not None
        return self._process.stdin.fileno()

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        ends = None if self.patience is None else time.monotonic() + self.patience
        while b"\n" not in self._unread:
            if not select.select([handle], [], [], None if ends is None else max(0.0, ends - time.monotonic()))[0]:
                self._process.kill()
                raise ConversationError(f"it gave no answer within {self.patience:g} s")
            part = os.read(handle, 1 << 20)
            if not part:
                raise ConversationError(self._last_words())
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
        return said_in(log) or (lines[-1] if lines else f"its process ended with status {status}")


def converse(begin: Callable[[], tuple[Any | None, Callable[[Asked], Any]]], kind: type[Asked]) -> None:
    """Be the process that is asked: begin, do what is asked for on stdin, and leave with an exit status.

    Args:
        begin: gives what is said first, a dataclass, or None; and what answers a request with a dataclass.
        kind: what a request is.
    """
    # What libraries print goes to stderr: stdout is the conversation's alone.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message: Any) -> None:
        print(json.dumps(asdict(message), allow_nan=False), file=replies, flush=True)

    def main() -> int:
        greeting, answer = begin()
        if greeting is not None:
            say(greeting)
        for line in sys.stdin:
            say(answer(parse_document(kind, line, "a request", "ask otherwise")))
        return 0

    run_command(main)
