"""Builds the server's application: its operations, and what stands around them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from data.errors import InputError
from demo.intake.hosts import HostCheck
from ferox.serving.doors import Admission, TokenCheck, Watch, note_of
from ferox.serving.inference import Inference
from ferox.serving.metrics import Metrics
from ferox.serving.models import Models
from ferox.serving.openapi import OpenApi
from ferox.serving.operations import routes
from ferox.serving.pictures import Pictures
from ferox.serving.places import Places
from ferox.serving.refusals import Refused
from ferox.serving.settings import Settings
from inference.photos.faces import finder


def build(settings: Settings, places: Places) -> Starlette:
    """Return the application, its models loaded.

    Raises:
        InputError: a model or the face finder cannot be used.
    """
    metrics = Metrics()
    models = Models(settings, metrics)
    pictures = Pictures(models, finder(settings.yunet), metrics)
    operations = [*Inference(models, places).operations(), *pictures.operations()]
    described = OpenApi(operations, token=settings.token is not None)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(models.watch())
        yield
        watching.cancel()
        pictures.close()
        models.close()

    checks = (
        []
        if settings.token is None
        else [Middleware(TokenCheck, token=settings.token, deadline=settings.limits.deadline)]
    )
    return Starlette(
        routes=routes([*operations, *described.operations()]),
        middleware=[
            Middleware(Watch, metrics=metrics),
            Middleware(HostCheck, doors=settings.doors),
            *checks,
            Middleware(Admission, places=places, metrics=metrics),
        ],
        exception_handlers={Refused: _refused, InputError: _wrong, HTTPException: _unrouted},
        lifespan=lifespan,
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    note_of(request.scope).reason = str(error)
    return error.response()


async def _wrong(request: Request, error: Exception) -> Response:
    return await _refused(request, Refused(400, str(error)))


async def _unrouted(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = f"there is no {request.method} {request.url.path[:100]}, expected one of those that GET / lists"
    return await _refused(request, Refused(error.status_code, what))
