"""Who may ask: a request must name this page as its host, and what changes anything must come from this page.

A browser sends requests for whatever site is open in it, also to this machine. A name that somebody else's name server
lets point here (DNS rebinding) makes that site's scripts and this page one origin; an address cannot be made to point
elsewhere, and so can `localhost` not. Programs send no Origin, and need none.
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data.addresses import is_address
from data.errors import printable

READING = frozenset(("GET", "HEAD", "OPTIONS"))
LONGEST_NAME = 100
DEFAULT_PORTS = {"http": 80, "https": 443}


class Doors:
    """The names by which the page may be asked for, besides addresses and localhost, and whether others may frame it.

    Names are given at the start; the one of a public link is known only later, and is let in by `allow`.
    """

    def __init__(self, names: Iterable[str] = (), *, framing: bool = False) -> None:
        self.framing = framing
        self._names = frozenset(map(_plain, names))

    def allow(self, name: str) -> None:
        """Let in one more name, with any port."""
        self._names |= {_plain(name)}

    def named(self, name: str) -> bool:
        """Whether a name was given, at the start or later."""
        return _plain(name) in self._names

    def admits(self, name: str) -> bool:
        """Whether the page may be asked for by this name, which stands without a port."""
        return _plain(name) == "localhost" or is_address(name) or self.named(name)


class HostCheck:
    """ASGI middleware that answers 403 to who asks for another host or comes from another page.

    It has to stand around Gradio's own, which answers other pages' questions what they may do. `root` is the path that
    the page has behind a proxy; whether the proxy keeps or strips it, everything inside sees paths without it.
    """

    def __init__(self, app: ASGIApp, doors: Doors, root: str = "") -> None:
        self.app = app
        self.doors = doors
        self.root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        foreign = _is_foreign(scope, self.doors)
        complaint = _wrong_host(scope, self.doors) or (_COMPLAINT if foreign and _changes(scope) else None)
        guarded = self._headed(send, foreign)
        if complaint is None:
            await self.app(_without_prefix(scope, self.root), receive, guarded)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
        else:
            await JSONResponse({"error": complaint, "detail": complaint}, 403)(scope, receive, guarded)

    def _headed(self, send: Send, foreign: bool) -> Send:
        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message.get("headers", [])))
                if foreign:
                    for name in [name for name in headers if name.startswith("access-control-")]:
                        del headers[name]
                if not self.doors.framing:
                    headers["content-security-policy"] = "frame-ancestors 'none'"
                    headers["x-frame-options"] = "DENY"
                message = {**message, "headers": headers.raw}
            await send(message)

        return headed


_COMPLAINT = (
    "the request comes from another page: expected this page, or a program that sends no Origin; open the page itself, "
    "or start it with --allow-host NAME for the name by which a proxy shows it"
)


def route_path(scope: Scope) -> str:
    """Return a request's path as Gradio routes it: without the prefix, which a proxy keeps or has stripped."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


def client_address(scope: Scope) -> str:
    """Return the address that a request comes from, of IPv6 the half that its owner cannot change at will.

    A proxy on this machine is believed in its X-Forwarded-For (uvicorn reads it), nobody else is.
    """
    address = str((scope.get("client") or ("unknown",))[0])
    try:
        network = ipaddress.ip_network((address.partition("%")[0], 64), strict=False)
    except ValueError:
        return address  # IPv4, which has no 64 bits, or no address at all.
    return str(network)


def host_name(netloc: str) -> str:
    """Return the name of `name`, `name:port` or `[address]:port`, in lower case; empty where there is none."""
    try:
        return (urlsplit(f"//{netloc}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _without_prefix(scope: Scope, root: str) -> Scope:
    path = str(scope["path"])
    if root and (path == root or path.startswith(f"{root}/")):
        return {**scope, "path": path.removeprefix(root) or "/"}
    return scope


def _wrong_host(scope: Scope, doors: Doors) -> str | None:
    """Return why a request is for another host; what a proxy was asked for counts as much as what it asks us for."""
    hosts = _values(scope, b"host")
    asked = [*(hosts if len(hosts) == 1 else [""]), *_forwarded(scope)]
    wrong = next((netloc for netloc in asked if not doors.admits(host_name(netloc))), None)
    if wrong is None:
        return None
    return (
        f"the page was asked for as {printable(wrong)[:LONGEST_NAME]!r}: expected an IP address, localhost or a name "
        "that it was started with; open it by its address, or start it with --allow-host NAME"
    )


def _is_foreign(scope: Scope, doors: Doors) -> bool:
    """Whether a request has an Origin that is not this page."""
    for origin in _values(scope, b"origin"):
        try:
            parts = urlsplit(origin)
            port = parts.port
        except ValueError:
            return True
        name = (parts.hostname or "").rstrip(".")
        if parts.scheme not in DEFAULT_PORTS or not name:
            return True
        own = {_end(netloc, parts.scheme) for netloc in _values(scope, b"host")}
        own |= {_end(netloc, parts.scheme) for netloc in _forwarded(scope) if doors.named(host_name(netloc))}
        if (name, port or DEFAULT_PORTS[parts.scheme]) not in own and not doors.named(name):
            return True
    return False


def _end(netloc: str, scheme: str) -> tuple[str, int]:
    try:
        port = urlsplit(f"//{netloc}").port
    except ValueError:
        port = None
    return host_name(netloc), port or DEFAULT_PORTS[scheme]


def _changes(scope: Scope) -> bool:
    return scope["type"] == "websocket" or scope["method"] not in READING


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for key, value in scope["headers"] if key.lower() == name]


def _forwarded(scope: Scope) -> list[str]:
    """Return the hosts that proxies were asked for, the first proxy's first."""
    return [part.strip() for value in _values(scope, b"x-forwarded-host") for part in value.split(",") if part.strip()]


def _plain(name: str) -> str:
    return name.strip().rstrip(".").lower()
