"""What stands around the operations: the log and the figures, the token, and the places."""

import asyncio
import hmac
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from hashlib import sha256

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.intake.hosts import client_address
from demo.intake.limits import declared, drained
from ferox.serving.bodies import Gone, read_body, too_large
from ferox.serving.log import log
from ferox.serving.metrics import Metrics
from ferox.serving.places import Place, Places
from ferox.serving.refusals import Refused

WITHOUT_TOKEN = ("/v2/health/live", "/v2/health/ready")
GONE = 499  # What proxies log of a client that went away; nobody is there to be answered.


@dataclass
class Note:
    """What is logged and counted of a request, filled in by the operation that answers it."""

    operation: str = ""
    model: str = ""
    faces: int = 0
    status: int = 0
    reason: str = ""


def note_of(scope: Scope) -> Note:
    """Return a request's note."""
    note: Note = scope["ferox.note"]
    return note


def place_of(scope: Scope) -> Place:
    """Return the place of a request with a body."""
    place: Place = scope["ferox.place"]
    return place


class Watch:
    """ASGI middleware that logs and counts every request, and answers 500 where something breaks."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        note, began = Note(), time.perf_counter()

        async def seen(message: Message) -> None:
            if message["type"] == "http.response.start":
                note.status = message["status"]
            await send(message)

        failure: Exception | None = None
        try:
            await self.app({**scope, "ferox.note": note}, receive, seen)
        except Exception as error:
            failure = error
            if not note.status:
                broken = Refused(500, "the server has failed at this request, expected an answer; its log says why")
                await broken.response()(scope, receive, seen)
        self._count(scope, note, time.perf_counter() - began, failure)

    def _count(self, scope: Scope, note: Note, seconds: float, failure: Exception | None) -> None:
        self.metrics.requests.labels(note.operation, note.model, note.status).inc()
        self.metrics.request_seconds.labels(note.operation, note.model).observe(seconds)
        log(
            "request",
            "error" if failure else "info",
            failure=failure,
            method=scope["method"],
            path=scope["path"][:200],
            status=note.status,
            seconds=round(seconds, 6),
            client=client_address(scope),
            operation=note.operation,
            model=note.model,
            faces=note.faces or "",
            reason=note.reason,
        )


class TokenCheck:
    """ASGI middleware that answers 401 to who lacks the token, but to questions for the server's health."""

    def __init__(self, app: ASGIApp, token: str, deadline: float) -> None:
        self.app = app
        self._deadline = deadline
        self._digest = sha256(token.encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"] in WITHOUT_TOKEN or self._admits(scope):
            await self.app(scope, receive, send)
            return
        await drained(receive, self._deadline)
        refused = Refused(401, "the token is missing or wrong, expected Authorization: Bearer TOKEN; give the server's")
        await answer(refused, scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        given = Headers(scope=scope).getlist("authorization")
        scheme, _, token = (given[0] if len(given) == 1 else "").partition(" ")
        # Digests have one length, and comparing them takes one time.
        same = hmac.compare_digest(sha256(token.strip().encode()).digest(), self._digest)
        return scheme.lower() == "bearer" and same


class Admission:
    """ASGI middleware that gives a place to each request with a body, reads the body, and gives up what takes too long
    or has lost its client. 413, 429, 503 and 504 come from here."""

    def __init__(self, app: ASGIApp, places: Places, metrics: Metrics) -> None:
        self.app = app
        self.places = places
        metrics.in_progress.set_function(lambda: places.taken)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; only requests that may have a body need a place."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        deadline = self.places.limits.deadline
        try:
            with self.places.place(client_address(scope)) as place:
                async with asyncio.timeout(deadline):
                    await self._served(place, scope, receive, send)
        except Gone:
            note_of(scope).status = GONE
        except TimeoutError:
            late = f"the request took over {deadline:g} seconds, expected less; send less at once, or try later"
            await answer(Refused(504, late, 1.0), scope, receive, send)
        except Refused as refused:
            await drained(receive, deadline)
            await answer(refused, scope, receive, send)

    async def _served(self, place: Place, scope: Scope, receive: Receive, send: Send) -> None:
        limit = self.places.limits.body_bytes
        if declared(scope) > limit:
            raise too_large(limit)
        body = await read_body(receive, limit, place)
        answering = self.app({**scope, "ferox.place": place}, _whole(body), send)
        await _while_connected(answering, receive, note_of(scope))


async def answer(refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a refusal, unless an answer has begun."""
    note = note_of(scope)
    note.reason = str(refused)
    if not note.status:
        await refused.response()(scope, receive, send)


async def _while_connected(answering: Awaitable[None], receive: Receive, note: Note) -> None:
    """Answer for as long as the client is there; `Gone` where it left before."""
    answered = asyncio.ensure_future(answering)
    left = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({answered, left}, return_when=asyncio.FIRST_COMPLETED)
        # A server also says that its client is gone when an answer has been sent.
        if not answered.done() and not note.status:
            raise Gone
        await answered
    finally:
        for task in (answered, left):
            task.cancel()
        await asyncio.gather(answered, left, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _whole(body: bytes) -> Receive:
    """Return what hands over a body that has come."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive
