"""The runtimes that need an artifact alone, as contenders of a benchmark.

Each is opened as its documentation says, on the processor in float32 unless its name says otherwise, and gives logits
and probabilities of NumPy arrays.
"""

import importlib.metadata
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inference.benchmark.contender import Opened, serve_model

CPU_RUNTIME = "onnxruntime"
PROVIDERS = {
    CPU_RUNTIME: "CPUExecutionProvider",
    "onnxruntime CUDA": "CUDAExecutionProvider",
    "onnxruntime TensorRT": "TensorrtExecutionProvider",
}
OPENVINO_BF16 = "OpenVINO bf16"
PRECISIONS = {"OpenVINO": "f32", OPENVINO_BF16: "bf16"}
OPENCV = "OpenCV dnn"


def main() -> None:
    """Serve the runtime, the artifact and the batch that it takes, the faces and the threads of the command line."""
    name, model, batch, pixels, threads = sys.argv[1:]
    piece = int(batch) or None
    serve_model(lambda: OPENERS[name](name, Path(model), piece, int(threads)), Path(pixels))


def open_onnxruntime(name: str, model: Path, piece: int | None, threads: int) -> Opened:
    """Open a model with the provider that `name` means, and no other."""
    import onnxruntime

    from inference.engine import open_session

    session = open_session(model.read_bytes(), model.name, PROVIDERS[name], threads)
    used = session.get_session_options().intra_op_num_threads if name == CPU_RUNTIME else None
    return Opened(
        onnxruntime.__version__,
        used,
        lambda pixels: session.run(["logits", "probabilities"], {"pixels": pixels})[0],
        piece,
    )


def open_openvino(name: str, model: Path, piece: int | None, threads: int) -> Opened:
    """Compile a model for the processor, one stream, in the precision that `name` means."""
    # It reports to its maker's statistics when it is imported, unless this package is missing.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[name],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(str(model), "CPU", settings)
    request = compiled.create_infer_request()
    used = int(compiled.get_property("INFERENCE_NUM_THREADS"))

    def answer(pixels: Any) -> Any:
        answered = request.infer({"pixels": pixels})
        return np.array(answered["logits"])

    return Opened(importlib.metadata.version("openvino"), used, answer, piece)


def open_opencv(name: str, model: Path, piece: int | None, threads: int) -> Opened:
    """Open a model with OpenCV's dnn module, which takes one face at a time where the batch is open."""
    import cv2

    cv2.setNumThreads(threads)
    network = cv2.dnn.readNetFromONNX(str(model))

    def answer(pixels: Any) -> Any:
        network.setInput(pixels, "pixels")
        return np.array(network.forward(["logits", "probabilities"])[0])

    remark = "" if piece else "one face at a time, also in batches: it takes no open batch"
    return Opened(cv2.__version__, cv2.getNumThreads(), answer, piece or 1, remark)


OPENERS: Mapping[str, Callable[[str, Path, int | None, int], Opened]] = {
    **dict.fromkeys(PROVIDERS, open_onnxruntime),
    **dict.fromkeys(PRECISIONS, open_openvino),
    OPENCV: open_opencv,
}


if __name__ == "__main__":
    main()
