"""Slows the guessing of the page's password, without locking out who knows it.

Each failure doubles how long its address waits for its next try, from half a second to 16 seconds; a success, or a
quarter of an hour without a failure, ends that. Tries from one address are made one after another, 8 may wait. Over all
addresses together no more than 10 tries a second are passed on from those that have not failed yet, and 10 from those
that have, so that many addresses gain nothing over one, and who has not failed never waits behind those who have. What
cannot be passed on within 20 seconds is told to come again later: 429, with Retry-After in seconds.

Who shares an address with somebody who guesses, as all visitors of a public link may, waits in that address's line.
"""

import asyncio
import math
import time
from dataclasses import dataclass, field

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.intake.hosts import client_address, route_path

FIRST_WAIT = 0.5  # Seconds after the first failure.
LONGEST_WAIT = 16.0
FORGOTTEN = 900.0  # Seconds after the last failure.
SPACING = 0.1  # Seconds between two tries of all addresses together.
LONGEST_LINE = 20.0  # Seconds.
WAITING = 8  # Tries of one address.
MOST_CLIENTS = 100_000
LOGIN_PATH = "/login"
OK = 200


@dataclass
class Client:
    """An address that tries: how often it failed, when last (seconds, monotonic), and how many of its tries wait."""

    failures: int = 0
    failed: float = 0.0
    waiting: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def free_at(self) -> float:
        """Return when it may try again, in seconds of the monotonic clock."""
        if not self.failures:
            return 0.0
        return self.failed + min(FIRST_WAIT * 2.0 ** min(self.failures - 1, 10), LONGEST_WAIT)


class LoginLimit:
    """ASGI middleware that lets tries of the password wait, and answers 429 to those that would wait too long."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._clients: dict[str, Client] = {}
        self._next = {False: 0.0, True: 0.0}  # When the next try is passed on, of those that have failed or not.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; only tries of a password are looked at."""
        if scope["type"] != "http" or scope["method"] != "POST" or route_path(scope).rstrip("/") != LOGIN_PATH:
            await self.app(scope, receive, send)
            return
        client = self._client(client_address(scope))
        if client.waiting >= WAITING:
            await _later(LONGEST_WAIT, scope, receive, send)
            return
        client.waiting += 1
        try:
            async with client.turn:
                await self._try(client, scope, receive, send)
        finally:
            client.waiting -= 1

    async def _try(self, client: Client, scope: Scope, receive: Receive, send: Send) -> None:
        now, lane = time.monotonic(), client.failures > 0
        turn = max(now, client.free_at(), self._next[lane])
        if turn - now > LONGEST_LINE:
            await _later(turn - now, scope, receive, send)
            return
        self._next[lane] = max(now, self._next[lane]) + SPACING
        await asyncio.sleep(turn - now)

        async def seen(message: Message) -> None:
            if message["type"] == "http.response.start":
                failed = message["status"] != OK
                client.failures = client.failures + 1 if failed else 0
                client.failed = time.monotonic()
            await send(message)

        await self.app(scope, receive, seen)

    def _client(self, address: str) -> Client:
        now = time.monotonic()
        if len(self._clients) >= MOST_CLIENTS:
            self._clients = {
                known: client
                for known, client in self._clients.items()
                if client.waiting or now - client.failed < FORGOTTEN / 10
            }
        client = self._clients.setdefault(address, Client())
        if now - client.failed > FORGOTTEN:
            client.failures = 0
        return client


async def _later(seconds: float, scope: Scope, receive: Receive, send: Send) -> None:
    sentence = "too many passwords were tried: expected fewer; try again in a while"
    headers = {"retry-after": str(math.ceil(seconds))}
    await JSONResponse({"error": sentence, "detail": sentence}, 429, headers)(scope, receive, send)
