"""A checkpoint in PaddlePaddle, as a contender of a benchmark: eager, and by its predictor with and without oneDNN."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn

from data.faceset import SIDE
from data.scratch import scratch_folder
from inference.benchmark.contender import Opened
from training.paddle.model import build, normalise, set_weights
from training.specs import ModelSpec
from training.weights import Weights


class _Whole(nn.Layer):
    """A network that takes grey faces as they are."""

    def __init__(self, network: nn.Layer) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        return self.network(normalise(pixels))


def opened(way: str, spec: ModelSpec, weights: Weights, threads: int) -> Opened:
    """Return a network that answers as PaddlePaddle does in evaluation mode; `way` is eager, predictor or onednn."""
    paddle.set_device("cpu")
    paddle.base.core.set_num_threads(threads)
    network = build(spec)
    set_weights(network, weights)
    whole = _Whole(network)
    whole.eval()
    version = paddle.__version__
    if way != "eager":
        answer = _predictor(whole, threads, onednn=way == "onednn")
        return Opened(version, threads, answer)

    @paddle.no_grad()
    def eager(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return whole(paddle.to_tensor(pixels)).numpy()

    return Opened(version, threads, eager)


def _predictor(whole: nn.Layer, threads: int, *, onednn: bool) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    with scratch_folder("ferox-paddle-") as folder:
        program = Path(folder) / "program"
        entry = paddle.static.InputSpec([None, SIDE, SIDE], "uint8", "pixels")
        paddle.jit.save(paddle.jit.to_static(whole, input_spec=[entry], full_graph=True), str(program))
        settings = paddle.inference.Config(str(program.with_suffix(".json")), str(program.with_suffix(".pdiparams")))
        settings.disable_gpu()
        settings.disable_glog_info()
        settings.set_cpu_math_library_num_threads(threads)
        if onednn:
            settings.enable_mkldnn()
        else:
            settings.disable_mkldnn()
        predictor = paddle.inference.create_predictor(settings)
    entry_handle = predictor.get_input_handle(predictor.get_input_names()[0])
    answer_handle = predictor.get_output_handle(predictor.get_output_names()[0])

    def answer(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        entry_handle.copy_from_cpu(pixels)
        predictor.run()
        return answer_handle.copy_to_cpu()

    return answer
