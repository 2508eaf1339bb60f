"""One artifact behind LitServe, for `benchmarks.server_load --against`.

In an environment with litserve and ferox: `python -m benchmarks.servers.litserve_api MODEL.onnx 8001`. LitServe takes
JSON and forms alone, so it is lent the server's own reading and writing of binary tensors; what is compared is how
requests come to the model and together.
"""

import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np
from fastapi import Response
from litserve.server import BaseRequestHandler
from numpy.typing import NDArray
from starlette.requests import Request

from ferox.serving.batching import Answers
from ferox.serving.inference import HEADER
from ferox.serving.protocol import OUTPUTS, Asked, Wanted, encode_answer, parse_request
from inference.engine import Engine

Values = NDArray[np.float32]


class Emotions(litserve.LitAPI):  # type: ignore[misc]
    """A worker with one engine, which is what LitServe starts for a model on a processor."""

    def __init__(self, model: Path) -> None:
        path = f"/v2/models/{model.stem}/infer"
        super().__init__(max_batch_size=64, batch_timeout=0.002, api_path=path)
        self.model = model

    def setup(self, device: str) -> None:
        """Load the artifact."""
        self.engine = Engine.load(self.model)

    def decode_request(self, request: Request) -> NDArray[np.uint8]:
        """Return the faces of what `_binary` made of a request, uint8[1, 48, 48]; LitServe goes by the annotation."""
        return parse_request(request["body"], request["header"]).pixels

    def batch(self, inputs: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Put the faces of several requests together."""
        return np.concatenate(inputs)

    def predict(self, x: NDArray[np.uint8]) -> tuple[Values, Values]:
        """Return logits and probabilities, float32[batch, 7] each."""
        return self.engine.run(x)

    def unbatch(self, output: tuple[Values, Values]) -> list[tuple[Values, Values]]:
        """Take the answers apart again."""
        logits, probabilities = output
        return [(logits[place : place + 1], probabilities[place : place + 1]) for place in range(len(logits))]

    def encode_response(self, output: tuple[Values, Values]) -> Response:
        """Answer as the server does that it is measured beside."""
        asked = Asked(np.empty(0, np.uint8), tuple(Wanted(each.name, binary=True) for each in OUTPUTS), "", None)
        encoded = encode_answer(asked, self.model.stem, Answers(*output, ""))
        return Response(encoded.body, media_type="application/octet-stream", headers={HEADER: str(encoded.header)})


async def _binary(handler: object, request: Request, kind: object) -> dict[str, Any]:
    return {"body": await request.body(), "header": int(request.headers[HEADER])}


if __name__ == "__main__":
    BaseRequestHandler._prepare_request = _binary
    server = litserve.LitServer(Emotions(Path(sys.argv[1])), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning", access_log=False
    )
