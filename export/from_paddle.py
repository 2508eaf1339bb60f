"""PaddlePaddle's side of an export; see `export.framework_side`."""

import re
from pathlib import Path

import numpy as np
import paddle
import paddle2onnx
from numpy.typing import NDArray
from paddle import nn

from data.errors import InputError
from data.faceset import SIDE
from export.contract import OPSET
from export.framework_side import answer, in_batches
from training.paddle.model import build, normalise, set_weights

FLOAT64_SLOPE = re.compile(r'"#":"0\.a_f64","D":([^}]*)\},"N":"negative_slope"')


@paddle.no_grad()
def reference(model: nn.Layer, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the framework's own logits float32[N, 7] in evaluation mode."""
    model.eval()
    return in_batches(lambda batch: model(normalise(paddle.to_tensor(batch))), pixels)


def convert(model: nn.Layer, path: Path, *, mend_slopes: bool = True) -> None:
    """Write a model as ONNX in evaluation mode, float32[batch, 1, 48, 48] to logits float32[batch, 7].

    Paddle stores LeakyReLU's slope as float64, which paddle2onnx reads as float32 and gets wrong; `mend_slopes` has the
    stored program say float32.
    """
    model.eval()
    program = path.with_name("program")
    entry = paddle.static.InputSpec([None, 1, SIDE, SIDE], "float32", "network_input")
    paddle.jit.save(paddle.jit.to_static(model, input_spec=[entry], full_graph=True), str(program))
    stored = program.with_suffix(".json")
    if mend_slopes:
        stored.write_text(FLOAT64_SLOPE.sub(r'"#":"0.a_f32","D":\1},"N":"negative_slope"', stored.read_text()))
    # Its own optimiser would be fetched from the network; `export.canonical` does what is needed.
    paddle2onnx.export(
        str(stored), str(program.with_suffix(".pdiparams")), str(path), opset_version=OPSET, optimize_tool="None"
    )
    if not path.is_file():
        raise InputError("paddle2onnx wrote no file; its messages say why")


if __name__ == "__main__":
    answer(build, set_weights, reference, convert)
