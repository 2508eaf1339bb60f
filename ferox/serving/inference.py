"""The operations of the Open Inference Protocol, version 2."""

import asyncio
from dataclasses import asdict
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from data.errors import InputError
from ferox.serving import protocol
from ferox.serving.batching import Answers
from ferox.serving.bodies import packed, unpacked
from ferox.serving.documents import (
    InferRequest,
    InferResponse,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
)
from ferox.serving.doors import note_of, place_of
from ferox.serving.models import Models, Served
from ferox.serving.operations import Operation
from ferox.serving.places import Places
from ferox.serving.refusals import Refused

HEADER = "inference-header-content-length"
MODEL, VERSION = "/v2/models/{name}", "/versions/{version}"
# Bytes of JSON: more takes milliseconds, for which all other requests would wait.
LONG_JSON = 50_000
LONGEST_NUMBER = 19  # Digits: no body has so many bytes.


class Inference:
    """Answers about the server, its models and their faces."""

    def __init__(self, models: Models, places: Places) -> None:
        self.models = models
        self.places = places

    def operations(self) -> list[Operation]:
        """Return what may be asked; a model's version may be named everywhere."""
        return [
            Operation("ServerMetadata", "GET", "/v2", "The server's name and version", self.server, ServerMetadata),
            Operation("ServerLive", "GET", "/v2/health/live", "Whether the process answers", self.live, ServerLive),
            Operation(
                "ServerReady",
                "GET",
                "/v2/health/ready",
                "Whether requests are taken; 503 while the server stops",
                self.ready,
                ServerReady,
                refusals=(503,),
            ),
            *self._of_a_model("", ""),
            *self._of_a_model(VERSION, "OfVersion"),
        ]

    def _of_a_model(self, path: str, suffix: str) -> list[Operation]:
        path, refusals = MODEL + path, (400, 404, 413, 415, 429, 500, 503, 504)
        what, takes = "The answers to faces, uint8 [N, 48, 48]", (InferRequest, "application/octet-stream")
        infer = Operation(
            f"ModelInfer{suffix}", "POST", f"{path}/infer", what, self.infer, InferResponse, takes, (), refusals
        )
        return [
            Operation(
                f"ModelMetadata{suffix}",
                "GET",
                path,
                "What a model takes and gives",
                self.model,
                ModelMetadata,
                refusals=(404,),
            ),
            Operation(
                f"ModelReady{suffix}",
                "GET",
                f"{path}/ready",
                "Whether a model answers",
                self.model_ready,
                ModelReady,
                refusals=(404,),
            ),
            infer,
        ]

    async def server(self, request: Request) -> Response:
        """Say what the server is."""
        return JSONResponse(asdict(ServerMetadata("ferox", version("ferox"), protocol.EXTENSIONS)))

    async def live(self, request: Request) -> Response:
        """Say that the process answers."""
        return JSONResponse(asdict(ServerLive(True)))

    async def ready(self, request: Request) -> Response:
        """Say whether requests are taken."""
        ready = not self.places.draining
        return JSONResponse(asdict(ServerReady(ready)), 200 if ready else 503)

    async def model(self, request: Request) -> Response:
        """Say what a model takes and gives."""
        return JSONResponse(asdict(protocol.model_metadata(self._served(request).name)))

    async def model_ready(self, request: Request) -> Response:
        """Say that a model answers: a server does not start with one that cannot."""
        return JSONResponse(asdict(ModelReady(self._served(request).name, True)))

    async def infer(self, request: Request) -> Response:
        """Answer to faces."""
        served = self._served(request)
        body = await self._body(request)
        header = _header_length(request.headers.get(HEADER))
        if (len(body) if header is None else header) > LONG_JSON:
            asked = await asyncio.to_thread(protocol.parse_request, body, header)
        else:
            asked = protocol.parse_request(body, header)
        note_of(request.scope).faces = len(asked.pixels)
        answers = await _in_time(served, asked)
        encoded = protocol.encode_answer(asked, served.name, answers)
        return _response(encoded, request.headers.get("accept-encoding", ""))

    async def _body(self, request: Request) -> bytes:
        body, encoding = await request.body(), request.headers.get("content-encoding", "").strip().lower()
        if not encoding:
            return body
        content = await asyncio.to_thread(unpacked, body, encoding, self.places.limits.body_bytes)
        place_of(request.scope).hold(len(content))
        return content

    def _served(self, request: Request) -> Served:
        served = self.models.named(request.path_params["name"], request.path_params.get("version"))
        note_of(request.scope).model = served.name
        return served


async def _in_time(served: Served, asked: protocol.Asked) -> Answers:
    try:
        async with asyncio.timeout(asked.timeout):
            return await served.answers(asked.pixels)
    except TimeoutError:
        if asked.timeout is None:
            raise
        raise Refused(
            504, f"the answer took over {asked.timeout:g} seconds, which the request's timeout allows; allow more", 1.0
        ) from None


def _header_length(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER):
        raise InputError(f"Inference-Header-Content-Length is {text[:40]!r}, expected a number of bytes; correct it")
    return int(text)


def _response(answer: protocol.Encoded, accepted: str) -> Response:
    body, encoding = packed(answer.body, accepted)
    headers = {"content-encoding": encoding} if encoding else {}
    if answer.header is None:
        return Response(body, media_type="application/json", headers=headers)
    headers[HEADER] = str(answer.header)
    return Response(body, media_type="application/octet-stream", headers=headers)
