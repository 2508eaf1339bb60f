"""What may be asked: one table, which routes requests and is the OpenAPI document."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ferox.serving.doors import note_of

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Operation:
    """A method and path, what answers, and how the document describes it.

    `name` is unique, and what the figures and the log call it. `takes` and `gives` are dataclasses, or media types;
    `query` has parameters with what they mean; `refusals` are the statuses that it has besides 200.
    """

    name: str
    method: str
    path: str
    summary: str
    handler: Handler
    gives: type[Any] | str
    takes: tuple[type[Any] | str, ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    refusals: tuple[int, ...] = ()

    def route(self) -> Route:
        """Return the route of this operation."""

        async def noted(request: Request) -> Response:
            note_of(request.scope).operation = self.name
            return await self.handler(request)

        return Route(self.path, noted, methods=[self.method], name=self.name)


def routes(operations: Sequence[Operation]) -> list[Route]:
    """Return the routes of all operations."""
    return [operation.route() for operation in operations]
