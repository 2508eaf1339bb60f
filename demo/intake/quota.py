"""How much people may send: bytes for all together and for each address, counted while they come.

What is sent is kept for an hour and counts as long. An upload that is broken off or refused leaves nothing.
"""

import asyncio
import errno
import math
import os
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio.route_utils
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.intake.hosts import client_address
from demo.intake.limits import declared, drained, is_upload
from demo.intake.uploads import KEPT_SECONDS

ALL_BYTES = 4_000_000_000
CLIENT_BYTES = 2_000_000_000
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
RETRY_SECONDS = 600
SILENT_SECONDS = 60.0  # A sender that is gone without a word would hold its bytes for ever.
OK, SILENT = 200, 408

# The temporary files of the request that is being served. Gradio forgets those of one that is broken off.
_written: ContextVar[list[Path] | None] = ContextVar("written", default=None)


def _noted_temporary_file(*args: Any, **options: Any) -> Any:
    file = tempfile.NamedTemporaryFile(*args, **options)  # noqa: SIM115  # Gradio closes it.
    written = _written.get()
    if written is not None:
        written.append(Path(file.name))
    return file


vars(gradio.route_utils)["NamedTemporaryFile"] = _noted_temporary_file


@dataclass(frozen=True)
class Quota:
    """How many bytes may be kept at once: of all, and of one address."""

    everybody: int = ALL_BYTES
    client: int = CLIENT_BYTES


class _Refused(Exception):
    """An upload is not taken: the status, why, and after how many seconds it may be tried again."""

    def __init__(self, status: int, sentence: str, seconds: float = 0) -> None:
        super().__init__(sentence)
        self.status = status
        self.seconds = seconds


@dataclass
class Ledger:
    """What was sent by whom in the last hour, and what is being sent now, in bytes."""

    quota: Quota
    sent: deque[tuple[float, str, int]] = field(default_factory=deque)
    held: Counter[str] = field(default_factory=Counter)
    everybody: int = 0

    def check(self, client: str, coming: int, more: int) -> None:
        """Raise `_Refused` where `more` bytes of an upload, of which `coming` came already, are too many."""
        now = time.monotonic()
        while self.sent and now - self.sent[0][0] > KEPT_SECONDS:
            _, earlier, size = self.sent.popleft()
            self.count(earlier, -size)
        if coming + more > self.quota.client:
            raise _Refused(413, f"the upload is over {self.quota.client} bytes: expected fewer; divide it")
        if self.held[client] + more > self.quota.client:
            raise _Refused(
                429,
                f"this address has sent {self.held[client]} bytes within an hour: at most {self.quota.client} are "
                "taken; try again later",
                next((when + KEPT_SECONDS - now for when, sender, _ in self.sent if sender == client), RETRY_SECONDS),
            )
        if self.everybody + more > self.quota.everybody:
            raise _Refused(
                507,
                f"the page has {self.everybody} bytes of uploads: at most {self.quota.everybody} are kept; try again "
                "later",
                RETRY_SECONDS,
            )

    def count(self, client: str, size: int) -> None:
        """Note that an address holds so many bytes more."""
        self.everybody += size
        self.held[client] += size
        if not self.held[client]:
            del self.held[client]

    def keep(self, client: str, size: int) -> None:
        """Note when an upload has come whole, whose bytes are counted already."""
        self.sent.append((time.monotonic(), client, size))


class UploadQuota:
    """ASGI middleware that answers 413 to an upload that is too large, 429 to an address that has sent too much, and
    507 where there is no room for anybody's; what a refused or broken-off upload has written is removed."""

    def __init__(self, app: ASGIApp, quota: Quota) -> None:
        self.app = app
        self.ledger = Ledger(quota)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; only uploads are looked at."""
        if scope["type"] != "http" or not is_upload(scope):
            await self.app(scope, receive, send)
            return
        client, statuses = client_address(scope), [0]

        async def seen(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses[0] = message["status"]
            await send(message)

        counted = _Counted(self.ledger, client)
        with _temporary_files() as written:
            try:
                self.ledger.check(client, 0, declared(scope))
                await self.app(scope, counted(receive), seen)
            except ClientDisconnect:
                pass  # Nobody is there to be answered.
            except (_Refused, OSError) as error:
                refused = _as_refused(error)
                if refused.status != SILENT:
                    await drained(receive)
                await _answer(refused, scope, receive, send)
            finally:
                if statuses[0] == OK:
                    written.clear()
                    self.ledger.keep(client, counted.size)
                else:
                    self.ledger.count(client, -counted.size)


class _Counted:
    """Counts what comes of one upload, and stops where it is too much."""

    def __init__(self, ledger: Ledger, client: str) -> None:
        self.ledger = ledger
        self.client = client
        self.size = 0

    def __call__(self, receive: Receive) -> Receive:
        coming = True

        async def counted() -> Message:
            nonlocal coming
            try:
                # Who waits for more than the body waits for the sender to hang up.
                async with asyncio.timeout(SILENT_SECONDS if coming else None):
                    message = await receive()
            except TimeoutError:
                raise _Refused(SILENT, f"nothing of the upload came for {SILENT_SECONDS:.0f} seconds") from None
            coming = message.get("more_body", False)
            size = len(message.get("body", b""))
            self.ledger.check(self.client, self.size, size)
            self.ledger.count(self.client, size)
            self.size += size
            return message

        return counted


@contextmanager
def _temporary_files() -> Iterator[list[Path]]:
    """Yield the list of temporary files that are made meanwhile; those that it still holds at the end are removed."""
    written: list[Path] = []
    token = _written.set(written)
    try:
        yield written
    finally:
        _written.reset(token)
        for path in written:
            path.unlink(missing_ok=True)


def _as_refused(error: Exception) -> _Refused:
    if isinstance(error, _Refused):
        return error
    if isinstance(error, OSError) and error.errno in FULL:
        return _Refused(507, f"the upload cannot be kept ({os.strerror(error.errno)}): try again later", RETRY_SECONDS)
    raise error


async def _answer(refused: _Refused, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"retry-after": str(math.ceil(refused.seconds))} if refused.seconds else {}
    content = {"error": str(refused), "detail": str(refused)}
    await JSONResponse(content, refused.status, headers)(scope, receive, send)
