"""How models are served, as the command line says it."""

from dataclasses import dataclass
from pathlib import Path

from data.addresses import is_address
from demo.intake.hosts import Doors

PORT = 8000


@dataclass(frozen=True)
class Limits:
    """What is taken at once, and for how long.

    Attributes:
        wait: seconds that a face waits for others while its model is busy.
        deadline: seconds from a request's first byte to its answer.
        queue: requests of all clients that are taken at once.
        share: of which one client may have so many.
        body_bytes: bytes of one request, and of what it unpacks to.
        held_bytes: bytes of all requests together that are held at once.
    """

    wait: float = 0.002
    deadline: float = 30.0
    queue: int = 256
    share: int = 64
    body_bytes: int = 10_100_000  # A picture of 10 MB and the form around it.
    held_bytes: int = 256_000_000


@dataclass(frozen=True)
class Tls:
    """The PEM files of a certificate with its chain, and of its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Settings:
    """What is served, where, and to whom.

    `models` are artifacts by the names that they are served under. `port` 0 is any free one. `names` are those by which
    the server may be asked for besides addresses and localhost. `token` None lets in everybody.
    """

    models: dict[str, Path]
    host: str = "127.0.0.1"
    port: int = PORT
    token: str | None = None
    tls: Tls | None = None
    names: tuple[str, ...] = ()
    limits: Limits = Limits()
    yunet: Path | None = None
    provider: str = "auto"
    threads: int | None = None

    @property
    def doors(self) -> Doors:
        """The names that are let in; what the server listens on is one of them."""
        own = [] if is_address(self.host) else [self.host]
        return Doors([*self.names, *own])
