"""Runs the server's process: its socket, its signals, and how it stops."""

import asyncio
import contextlib
import gc
import signal
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from data.errors import InputError
from ferox.serving.app import build
from ferox.serving.log import log, start_logging
from ferox.serving.places import Places
from ferox.serving.settings import Settings, Tls

IDLE_SECONDS = 30  # How long a connection without a request is kept.
BACKLOG = 1024
STOPPING = (signal.SIGTERM, signal.SIGINT)


class Connection(HttpToolsProtocol):
    """A connection that tells all its unanswered requests when it is lost.

    uvicorn tells the newest alone; what answers another one then writes to a closed socket, which is logged as this
    server's failure: any client could fill the log by asking twice and leaving.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._unanswered: deque[RequestResponseCycle] = deque()

    def on_headers_complete(self) -> None:
        """Take a request."""
        super().on_headers_complete()
        while self._unanswered and self._unanswered[0].response_complete:
            self._unanswered.popleft()
        self._unanswered.append(self.cycle)

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is not answered."""
        for cycle in self._unanswered:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self._unanswered.clear()
        super().connection_lost(exc)


class Server(uvicorn.Server):
    """Stops at a signal when all requests that were taken are answered; until then others are refused with a 503.

    A second signal cuts off every connection, and so gives up what they have asked for.
    `announce` is called when it answers, and a signal stops it so from then on.
    """

    def __init__(self, config: uvicorn.Config, places: Places, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self.places = places
        self.announce = announce
        self._draining: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal, and end with exit status 0: uvicorn would end by the signal."""
        loop = asyncio.get_running_loop()
        for number in STOPPING:
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in STOPPING:
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer on `sockets`, and say so."""
        await super().startup(sockets)
        self.announce()

    def _stop(self) -> None:
        if self.places.draining:
            self.should_exit = True
            self._cut_off()
            return
        self.places.draining = True
        log("stopping", requests=self.places.taken)
        self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the connections; those whose client does not read what it was sent are cut off after the deadline."""
        late = asyncio.get_running_loop().call_later(self.places.limits.deadline, self._cut_off)
        try:
            await super().shutdown(sockets)
        finally:
            late.cancel()

    def _cut_off(self) -> None:
        connections = list(self.server_state.connections)
        if connections:
            log("cut off", "warning", connections=len(connections))
        for connection in connections:
            connection.transport.abort()

    async def _drain(self) -> None:
        # Each of them has a deadline, so that this ends.
        while self.places.taken and not self.should_exit:
            await asyncio.sleep(0.01)
        self.should_exit = True


def serve(settings: Settings) -> int:
    """Serve until a signal; return the exit status.

    Raises:
        InputError: a model, the certificate or the face finder cannot be used, or the address cannot be listened on.
    """
    start_logging()
    check_tls(settings.tls)
    places = Places(settings.limits)
    with listening(settings.host, settings.port) as listener:
        config = uvicorn.Config(
            build(settings, places),
            http=Connection,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="on",
            backlog=BACKLOG,
            timeout_keep_alive=IDLE_SECONDS,
            ssl_certfile=settings.tls.certificate if settings.tls else None,
            ssl_keyfile=settings.tls.key if settings.tls else None,
        )
        # What is here by now stays. Nobody is answered while all of it is searched for garbage: with 8 clients, one
        # request in a hundred took 24 ms in place of 5.
        gc.collect()
        gc.freeze()
        address = _address(settings, listener)

        def announce() -> None:
            log("serving", address=address, models=", ".join(settings.models))
            print(address, flush=True)

        Server(config, places, announce).run([listener])
    log("stopped")
    return 0


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a socket that listens; an `InputError` where that is not possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends without delay (TCP_NODELAY) only on sockets that say that they are TCP's; answers took 40 ms more.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{host}, port {port}, cannot be listened on ({reason}); give another") from error
        yield listener


def check_tls(tls: Tls | None) -> None:
    """Raise an `InputError` where a certificate and its key cannot be used."""
    if tls is None:
        return
    try:
        # Without a password to ask for: a server has no terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key, password="")
    except (OSError, ValueError) as error:
        raise InputError(
            f"--tls-cert {tls.certificate.name} and --tls-key {tls.key.name} cannot be used ({error}); expected the "
            "PEM files of a certificate and of its key, without a password"
        ) from error


def _address(settings: Settings, listener: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{'https' if settings.tls else 'http'}://{host}:{listener.getsockname()[1]}"
