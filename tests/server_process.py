"""The real server as a child process, and plain requests to it."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Served:
    """A server: its port and process, and the file that its stderr goes to."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged; every line must be JSON, but for one that it is about to end."""
        return [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it has logged under a name."""
        return [line for line in self.lines() if line["event"] == name]


@dataclass(frozen=True)
class Reply:
    """An answer; headers by their names in lower case."""

    status: int
    body: bytes
    headers: dict[str, str]

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json()["error"])


@contextmanager
def serving(folder: Path, *arguments: object, **variables: str) -> Iterator[Served]:
    """A server with these arguments, on a free port; its stdout and stderr are files of `folder`."""
    out, log = folder / "server.out", folder / "server.log"
    with out.open("wb") as said, log.open("wb") as logged:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "ferox.serving", "--port", "0", *map(str, arguments)],
            stdout=said,
            stderr=logged,
            env=os.environ | variables,
        )
    try:
        until(lambda: b"\n" in out.read_bytes() or process.poll() is not None, 60)
        assert process.poll() is None, log.read_text()
        yield Served(int(out.read_text().strip().rsplit(":", 1)[1]), process, log)
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0, log.read_text()
        assert "Traceback" not in log.read_text(), log.read_text()


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> Reply:
    """Ask the server; `x_forwarded_for="..."` stands for the header X-Forwarded-For."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        content = answer.read()
        return Reply(answer.status, content, {name.lower(): value for name, value in answer.getheaders()})
    finally:
        connection.close()


@contextmanager
def unread(port: int) -> Iterator[None]:
    """A connection that asks for more than any socket holds (31 MB) and whose client reads nothing."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", port))
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)
        yield


@contextmanager
def half_sent(port: int, path: str, body: bytes, headers: str = "") -> Iterator[socket.socket]:
    """A connection over which a request has come but for the last byte of its body."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[:-1])
        yield connection


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
