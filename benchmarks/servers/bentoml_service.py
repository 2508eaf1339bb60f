"""One artifact behind BentoML, for `benchmarks.server_load --other bentoml`.

In an environment with bentoml, onnxruntime and numpy:

    MODEL=model.onnx bentoml serve bentoml_service:Emotions --port 8001

Values travel as JSON: BentoML takes no other form of numbers from outside.
"""

import os

import bentoml
import numpy as np
import onnxruntime
from numpy.typing import NDArray


@bentoml.service(workers=1, traffic={"timeout": 60})
class Emotions:
    """A worker with one session of two threads."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)  # type: ignore[untyped-decorator]
    def infer(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Answer uint8[batch, 48, 48] with float32[batch, 7]."""
        answer: NDArray[np.float32] = self.session.run(["probabilities"], {"pixels": pixels.astype(np.uint8)})[0]
        return answer
