"""Two square matrices multiplied by onnxruntime, in float32 or in int8, as the measure of a processor.

A process of its own, which takes turns with what it is the measure of. A turn of a batch of N multiplies matrices of N
rows and columns.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from inference.benchmark.contender import serve, turn
from inference.benchmark.messages import Answer, Ready, Request, Turn

OPSET, IR = 18, 8


def main() -> None:
    """Serve the precision and the threads of the command line."""
    precision, threads = sys.argv[1:]
    serve(lambda: _begin(precision, int(threads)))


def _begin(precision: str, threads: int) -> tuple[Ready, Callable[[Request], Answer | Turn]]:
    import onnxruntime

    from inference.engine import CPU, open_session

    session = open_session(multiplication(precision), "a multiplication", CPU, threads)

    def work(request: Request) -> Turn:
        feeds = matrices(precision, request.batch)
        return turn(lambda: session.run(["product"], feeds), request.seconds)

    return Ready(version=onnxruntime.__version__, threads=threads), work


def multiplication(precision: str) -> bytes:
    """Return an ONNX file that multiplies two matrices: float32, or uint8 by int8 to int32."""
    from onnx import TensorProto, helper

    kinds = [TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32] if precision == "int8" else [TensorProto.FLOAT] * 3
    operator = "MatMulInteger" if precision == "int8" else "MatMul"
    values = [
        helper.make_tensor_value_info(name, kind, ["side", "side"])
        for name, kind in zip(("left", "right", "product"), kinds, strict=True)
    ]
    graph = helper.make_graph([helper.make_node(operator, ["left", "right"], ["product"])], "g", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    content: bytes = model.SerializeToString()
    return content


def matrices(precision: str, side: int) -> dict[str, Any]:
    """Return two matrices with seeded values, `side` rows and columns each."""
    random = np.random.default_rng(0)
    if precision == "int8":
        return {
            "left": random.integers(0, 128, (side, side), np.uint8),
            "right": random.integers(-64, 64, (side, side), np.int8),
        }
    return {name: random.standard_normal((side, side), np.float32) for name in ("left", "right")}


if __name__ == "__main__":
    main()
