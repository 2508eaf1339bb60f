"""What a request may be, checked before Gradio reads it: how large its body is, and that its files were uploaded.

Gradio reads JSON bodies of any size into memory, and fetches what a payload names by URL.
"""

import asyncio
import json
from contextlib import suppress
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.intake.hosts import route_path

JSON_BYTES = 1_000_000  # A webcam's frame is the largest thing that comes as JSON.
UPLOAD_BYTES = 510_000_000  # A film of 500 MB and what is around it.
AROUND = 10_000_000
# As much of a refused body is read and dropped, and for so long, so that its sender reads the answer.
LINGER_BYTES, LINGER_SECONDS = 1_000_000_000, 60.0
UPLOAD_PATH = "/gradio_api/upload"


class RequestLimits:
    """ASGI middleware that answers 413 to a body too large, and 400 to one too deep or with a file named by URL."""

    def __init__(self, app: ASGIApp, uploads: int = UPLOAD_BYTES) -> None:
        self.app = app
        self.uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; only HTTP requests with a body are looked at."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self.app(scope, receive, send)
            return
        upload = is_upload(scope)
        limit = self.uploads if upload else JSON_BYTES
        if declared(scope) > limit:
            await drained(receive)
            await _refuse(413, f"the request is over {limit} bytes", scope, receive, send)
        elif upload:
            await self.app(scope, _counted(receive, limit), send)
        else:
            await self._checked(limit, scope, receive, send)

    async def _checked(self, limit: int, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > limit:
                if more:
                    await drained(receive)
                await _refuse(413, f"the request is over {limit} bytes", scope, receive, send)
                return
        if (complaint := _complaint(body)) is not None:
            await _refuse(400, complaint, scope, receive, send)
            return
        await self.app(scope, _replayed(body, receive), send)


def is_upload(scope: Scope) -> bool:
    """Whether a request sends files, which alone may be large."""
    return scope["method"] == "POST" and route_path(scope) == UPLOAD_PATH


async def drained(receive: Receive, seconds: float | None = None) -> None:
    """Read the rest of a body and keep nothing: one that is answered while it is being sent is a broken connection to
    its sender. After some seconds (None: `LINGER_SECONDS`) it is answered anyway."""
    left, more = LINGER_BYTES, True
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS if seconds is None else seconds):
            while more and left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                more = message.get("more_body", False)


def declared(scope: Scope) -> int:
    """Return how many bytes a request says that it has, 0 where it does not say."""
    value = dict(scope["headers"]).get(b"content-length", b"0")
    return int(value) if value.isdigit() else 0


def _counted(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        # A body without a declared length: the connection is ended where it passes the limit.
        return {"type": "http.disconnect"} if seen > limit else message

    return counted


def _replayed(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _complaint(body: bytes) -> str | None:
    """Return why a body is not passed on; what is no JSON is left to Gradio, which refuses it where it expects some."""
    try:
        remote = _remote(json.loads(body))
    except ValueError:
        return None
    except RecursionError:
        return "the request's JSON is nested too deeply to be checked"
    return "files are taken from uploads alone, not from addresses" if remote else None


def _remote(value: Any) -> bool:
    if isinstance(value, dict):
        path = value.get("path")
        named = "meta" in value and isinstance(path, str) and "://" in path
        return named or any(map(_remote, value.values()))
    return isinstance(value, list) and any(map(_remote, value))


async def _refuse(status: int, sentence: str, scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"error": sentence, "detail": sentence}, status)(scope, receive, send)
