"""The operations beside the protocol: a picture's faces, the models on offer, and the figures."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from data.errors import InputError
from ferox.serving.bodies import picture_in
from ferox.serving.documents import ModelList
from ferox.serving.doors import note_of
from ferox.serving.metrics import CONTENT_TYPE, Metrics
from ferox.serving.models import Models
from ferox.serving.operations import Operation
from ferox.serving.refusals import Refused
from inference.confidence import ALWAYS, check_min_confidence
from inference.machine import available_cpus
from inference.photos.faces import Finder, Policy
from inference.photos.pictures import read_picture
from inference.photos.reading import FoundFaces, PictureRecord, answered, as_record, find_faces, policy_named

# Of 25 megapixels, 75 MB each.
MOST_PICTURES = 8


class Pictures:
    """Answers about pictures, models and figures."""

    def __init__(self, models: Models, finder: Finder, metrics: Metrics) -> None:
        self.models = models
        self.finder = finder
        self.metrics = metrics
        self._executor = ThreadPoolExecutor(min(available_cpus(), MOST_PICTURES), "picture")

    def operations(self) -> list[Operation]:
        """Return what may be asked."""
        query = (
            ("model", "a name from /v1/models; the first where it is left out"),
            ("faces", "auto or whole"),
            ("min_confidence", "from 0, the default, to 1: a face's label is null where its probability is less"),
        )
        takes, refusals = ("image/*", "multipart/form-data"), (400, 404, 413, 415, 422, 429, 500, 503, 504)
        what = "The faces of a picture and what a model sees in them"
        return [
            Operation("Faces", "POST", "/v1/faces", what, self.faces, PictureRecord, takes, query, refusals),
            Operation("Models", "GET", "/v1/models", "The models on offer", self.offered, ModelList),
            Operation("Metrics", "GET", "/metrics", "Figures for Prometheus", self.figures, "text/plain"),
        ]

    async def faces(self, request: Request) -> Response:
        """Answer with one object of `ferox predict --json`."""
        if encoding := request.headers.get("content-encoding", ""):
            raise Refused(415, f"the Content-Encoding is {encoding[:40]!r}, expected none; send the picture as it is")
        note = note_of(request.scope)
        served = self.models.named(request.query_params.get("model"))
        note.model = served.name
        policy = policy_named(request.query_params.get("faces"))
        least = _min_confidence(request.query_params.get("min_confidence"))
        name, content = await picture_in(request.headers, await request.body())
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._executor, self._found, content, name, policy)
        note.faces = len(found.crops)
        crops = [face.pixels for face in found.crops]
        probabilities = (await served.answers(np.stack(crops))).probabilities if crops else ()
        return JSONResponse(as_record(next(answered([found], probabilities, least))).to_dict())

    async def offered(self, request: Request) -> Response:
        """Say which models there are."""
        return JSONResponse(asdict(ModelList(tuple(served.description() for served in self.models))))

    async def figures(self, request: Request) -> Response:
        """Answer with all figures."""
        return Response(self.metrics.text(), media_type=CONTENT_TYPE)

    def close(self) -> None:
        """End the threads that pictures are read in, when their work has ended."""
        self._executor.shutdown()

    def _found(self, content: bytes, name: str | None, policy: Policy) -> FoundFaces:
        try:
            picture = read_picture(content, name)
        except InputError as error:
            raise Refused(422, str(error)) from error
        return find_faces(picture, self.finder, policy)


def _min_confidence(text: str | None) -> float:
    try:
        return ALWAYS if text is None else check_min_confidence(float(text), "min_confidence")
    except ValueError:
        raise InputError(
            f"min_confidence is {text!r:.50}, expected a number from 0 to 1; leave it out or mend it"
        ) from None
