"""One artifact behind MLServer, for `benchmarks.server_load --body json`.

In an environment with mlserver, onnxruntime and numpy, in a folder with this file and a `model-settings.json`:

    {"name": NAME, "implementation": "mlserver_model.Emotions", "parameters": {"uri": "model.onnx"},
     "max_batch_size": 64, "max_batch_time": 0.002}

then `MLSERVER_HTTP_PORT=8001 MLSERVER_PARALLEL_WORKERS=0 mlserver start .`. Values travel as JSON: MLServer's HTTP
takes no binary tensors.
"""

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Emotions(MLModel):  # type: ignore[misc]
    """One session of two threads; MLServer batches before it."""

    async def load(self) -> bool:
        """Load the artifact."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        file = self.settings.parameters.uri
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer uint8[batch, 48, 48] with float32[batch, 7]."""
        pixels = NumpyCodec.decode_input(payload.inputs[0]).astype(np.uint8)
        (probabilities,) = self.session.run(["probabilities"], {"pixels": pixels})
        outputs = [NumpyCodec.encode_output("probabilities", probabilities)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
