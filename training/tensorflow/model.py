"""Builds any spec in TensorFlow.

Pictures are channels-last here, the only layout that TensorFlow trains in on a CPU; arrays have PyTorch's layout
outside (`training.weights`) and are turned when they enter and leave. BatchNorm is the fused operation with the batch's
unbiased variance in the running one, as in PyTorch, and stays one node with its own four arrays when exported.
"""

from dataclasses import dataclass

import numpy as np

from training.specs import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    LeakyReLU,
    MaxPool,
    ModelSpec,
    ReLU,
    Residual,
    Resize,
)
from training.tensorflow.quiet import tf
from training.weights import STATISTICS, NamedLayer, Weights, named_layers, shapes

# Layouts of arrays by rank: [out, in, row, column] here is [row, column, in, out] in TensorFlow, and so on.
INWARD = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}
OUTWARD = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}


@dataclass(frozen=True)
class Mode:
    """How a network is run.

    Attributes:
        seed: int64[2] that dropout draws from; the same seed drops the same values. None: evaluation.
        precision: the type that convolutions and dense layers compute in.
    """

    seed: tf.Tensor | None = None
    precision: tf.DType = tf.float32

    @property
    def training(self) -> bool:
        """Whether BatchNorm uses the batch's own statistics, and dropout drops."""
        return self.seed is not None


EVALUATION = Mode()


class Network:
    """A spec with its variables, called as `training.weights.shapes` calls them, in TensorFlow's layout."""

    def __init__(self, spec: ModelSpec) -> None:
        self.layers = tuple(named_layers(spec))
        self.variables = {
            name: tf.Variable(tf.zeros([shape[axis] for axis in INWARD[len(shape)]]), name=name.replace(".", "_"))
            for name, shape in shapes(spec).items()
        }
        self.trainable = {name: value for name, value in self.variables.items() if not name.endswith(STATISTICS)}

    def __call__(self, x: tf.Tensor, mode: Mode = EVALUATION) -> tf.Tensor:
        """Return logits float32[N, 7] of float32[N, 48, 48, 1] in [-1, 1]."""
        for index, named in enumerate(self.layers):
            x = self.apply_layer(named, index, x, mode)
        return tf.cast(x, tf.float32)

    def apply_layer(self, named: NamedLayer, index: int, x: tf.Tensor, mode: Mode) -> tf.Tensor:
        """Return what layer number `place` makes of `x`."""
        match named.layer:
            case Resize(side):
                return tf.image.resize(x, (side, side), "bilinear", antialias=False)
            case Conv(_, _, stride, padding):
                return self._conv(named.name, x, stride, padding, mode)
            case BatchNorm() as layer:
                return self._norm(named.name, x, layer, mode)
            case ReLU():
                return tf.nn.relu(x)
            case LeakyReLU(slope):
                return tf.nn.leaky_relu(x, slope)
            case MaxPool(kernel, stride, padding):
                return tf.nn.max_pool2d(x, kernel, stride, _padding(padding))
            case GlobalAveragePool():
                return _flatten(tf.reduce_mean(x, (1, 2), keepdims=True))
            case Flatten():
                return _flatten(x)
            case Dense():
                return self._dense(named.name, x, mode)
            case Dropout(rate):
                return x if mode.seed is None else _dropout(x, rate, mode.seed + tf.constant([0, index], tf.int64))
            case Residual(_, stride):
                return self._residual(named.name, x, stride, mode)

    def _conv(self, name: str, x: tf.Tensor, stride: int, padding: int, mode: Mode) -> tf.Tensor:
        kernel = tf.cast(self.variables[f"{name}.weight"], mode.precision)
        # "SAME" is the faster one, and the same only where it pads both sides alike.
        same = stride == 1 and 2 * padding == kernel.shape[0] - 1
        x = tf.nn.conv2d(tf.cast(x, mode.precision), kernel, stride, "SAME" if same else _padding(padding))
        bias = self.variables.get(f"{name}.bias")
        return x if bias is None else tf.nn.bias_add(x, tf.cast(bias, mode.precision))

    def _dense(self, name: str, x: tf.Tensor, mode: Mode) -> tf.Tensor:
        kernel, bias = (tf.cast(self.variables[f"{name}.{part}"], mode.precision) for part in ("weight", "bias"))
        return tf.nn.bias_add(tf.matmul(tf.cast(x, mode.precision), kernel), bias)

    def _norm(self, name: str, x: tf.Tensor, layer: BatchNorm, mode: Mode) -> tf.Tensor:
        scale, offset, mean, variance = (self.variables[f"{name}.{part}"] for part in ("weight", "bias", *STATISTICS))
        # tf.nn's and Keras' own wrappers raise epsilon to 1.001e-5 in silence.
        answer = tf.raw_ops.FusedBatchNormV3(
            x=tf.reshape(x, (-1, 1, 1, x.shape[1])) if x.shape.rank == 2 else x,
            scale=scale,
            offset=offset,
            mean=mean,
            variance=variance,
            epsilon=layer.epsilon,
            exponential_avg_factor=layer.momentum,
            is_training=mode.training,
        )
        if mode.training:
            mean.assign(answer.batch_mean)
            variance.assign(answer.batch_variance)
        return tf.reshape(answer.y, (-1, x.shape[1])) if x.shape.rank == 2 else answer.y

    def _residual(self, name: str, x: tf.Tensor, stride: int, mode: Mode) -> tf.Tensor:
        norm = BatchNorm()
        inner = tf.nn.relu(self._norm(f"{name}.bn1", self._conv(f"{name}.conv1", x, stride, 1, mode), norm, mode))
        inner = self._norm(f"{name}.bn2", self._conv(f"{name}.conv2", inner, 1, 1, mode), norm, mode)
        if f"{name}.downsample.0.weight" in self.variables:
            x = self._norm(f"{name}.downsample.1", self._conv(f"{name}.downsample.0", x, stride, 0, mode), norm, mode)
        return tf.nn.relu(inner + x)


def build(spec: ModelSpec) -> Network:
    """Build a spec: float32[N, 48, 48, 1] in [-1, 1] to logits float32[N, 7]. Its weights are zeros; set others with
    `set_weights`."""
    return Network(spec)


def normalise(pixels: tf.Tensor) -> tf.Tensor:
    """Turn uint8 or float32[N, 48, 48], 0 to 255, into float32[N, 48, 48, 1] in [-1, 1]."""
    return (tf.cast(pixels, tf.float32) / 127.5 - 1)[..., None]


def set_weights(model: Network, weights: Weights) -> None:
    """Copy plain arrays into a model built from the same spec."""
    for name, array in weights.items():
        model.variables[name].assign(array.transpose(INWARD[array.ndim]))


def get_weights(model: Network, spec: ModelSpec) -> Weights:
    """Return a model's weights as plain arrays."""
    arrays = {name: model.variables[name].numpy() for name in shapes(spec)}
    return {name: np.ascontiguousarray(array.transpose(OUTWARD[array.ndim])) for name, array in arrays.items()}


def _padding(size: int) -> str | list[list[int]]:
    return [[0, 0], [size, size], [size, size], [0, 0]] if size else "VALID"


def _flatten(x: tf.Tensor) -> tf.Tensor:
    if x.shape[1:3] != (1, 1) and x.shape[3] > 1:
        x = tf.transpose(x, (0, 3, 1, 2))
    return tf.reshape(x, (-1, int(np.prod(x.shape[1:]))))


def _dropout(x: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    kept = tf.random.stateless_uniform(tf.shape(x), seed) >= rate
    return tf.where(kept, x / tf.cast(1 - rate, x.dtype), tf.zeros((), x.dtype))
