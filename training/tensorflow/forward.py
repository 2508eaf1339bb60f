"""A checkpoint in TensorFlow, as a contender of a benchmark: a compiled function, and Keras' `predict`."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from inference.benchmark.contender import BATCH, Opened
from training.specs import ModelSpec
from training.tensorflow.model import Network, build, normalise, set_weights
from training.tensorflow.quiet import tf
from training.weights import Weights


def opened(way: str, spec: ModelSpec, weights: Weights, threads: int) -> Opened:
    """Return a network that answers as TensorFlow does in evaluation mode; `way` is function or predict."""
    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    network = build(spec)
    set_weights(network, weights)
    used = tf.config.threading.get_intra_op_parallelism_threads()
    if way == "predict":
        return Opened(f"{tf.__version__}, Keras {keras.__version__}", used, _predict(network))
    compiled = tf.function(lambda batch: network(normalise(batch)), autograph=False)
    return Opened(tf.__version__, used, lambda pixels: compiled(tf.constant(pixels)).numpy())


def _predict(network: Network) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    class Answering(keras.Model):  # type: ignore[misc]
        def call(self, pixels: Any) -> Any:
            return network(normalise(pixels))

    model = Answering()

    def answer(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = model.predict(pixels, batch_size=BATCH, verbose=0)
        return logits

    return answer
