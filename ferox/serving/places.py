"""How much is taken at once: requests of all and of one client, and the bytes that they hold."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ferox.serving.refusals import Refused
from ferox.serving.settings import Limits

RETRY_SECONDS = 1.0


@dataclass
class Place:
    """One request's place, and how many bytes it holds."""

    places: "Places"
    held: int = 0

    def hold(self, size: int) -> None:
        """Hold `size` more bytes.

        Raises:
            Refused: 503, all requests together hold too many.
        """
        places, most = self.places, self.places.limits.held_bytes
        if places.held + size > most:
            raise Refused(
                503,
                f"the requests in progress hold {places.held} bytes, at most {most} are taken; try again later",
                RETRY_SECONDS,
            )
        places.held += size
        self.held += size


class Places:
    """The places that requests take until they are answered or given up. They belong to one event loop."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.draining = False
        self.held = 0  # Bytes.
        self._taken: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """How many requests there are."""
        return self._taken.total()

    @contextmanager
    def place(self, client: str) -> Iterator[Place]:
        """Take a place for as long as the block lasts.

        Raises:
            Refused: 503, the server is stopping or all places are taken; 429, this client has its share of them.
        """
        self._check(client)
        self._taken[client] += 1
        place = Place(self)
        try:
            yield place
        finally:
            self.held -= place.held
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]

    def _check(self, client: str) -> None:
        if self.draining:
            raise Refused(503, "the server is stopping, expected no more requests; ask another one", RETRY_SECONDS)
        if self._taken[client] >= self.limits.share:
            raise Refused(
                429,
                f"this address has {self._taken[client]} requests in progress, at most {self.limits.share} are taken; "
                "wait for their answers",
                RETRY_SECONDS,
            )
        if self.taken >= self.limits.queue:
            raise Refused(
                503,
                f"{self.taken} requests are in progress, at most {self.limits.queue} are taken; try again later",
                RETRY_SECONDS,
            )
