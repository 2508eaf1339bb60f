"""Builds any spec in PaddlePaddle.

Two of Paddle's habits matter: a dense layer's weight is [in, out], and BatchNorm's momentum is the share of the *old*
statistics. Its running variance is the biased one of the batch, where PyTorch's is unbiased: n / (n - 1) larger, for n
values of a channel in a batch.
"""

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddle.nn import functional

from training.paddle.kernels import choose_kernels
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
from training.weights import NamedLayer, Weights, named_layers, shapes

choose_kernels()

PADDLE_NAMES = {"running_mean": "_mean", "running_var": "_variance"}


class _Resize(nn.Layer):
    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, size=[self.side, self.side], mode="bilinear", align_corners=False)


class _Conv(nn.Conv2D):
    """Adds its bias as [channels, 1, 1], in a third of the time of Paddle's own way, [1, channels, 1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        y = functional.conv2d(x, self.weight, None, self._stride, self._padding)
        return y if self.bias is None else y + self.bias.reshape([-1, 1, 1])


class _Residual(nn.Layer):
    def __init__(self, width: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2D(width, channels, 3, stride, 1, bias_attr=False)
        self.bn1 = _norm(BatchNorm(), channels, spatial=True)
        self.conv2 = nn.Conv2D(channels, channels, 3, 1, 1, bias_attr=False)
        self.bn2 = _norm(BatchNorm(), channels, spatial=True)
        self.downsample = None
        if stride != 1 or width != channels:
            shortcut = nn.Conv2D(width, channels, 1, stride, bias_attr=False)
            self.downsample = nn.Sequential(shortcut, _norm(BatchNorm(), channels, spatial=True))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


def build(spec: ModelSpec) -> nn.Sequential:
    """Build a spec: float32[N, 1, 48, 48] in [-1, 1] to logits float32[N, 7]. Its weights are Paddle's own; set others
    with `set_weights`."""
    # Names from zero in every model, since an optimiser's state is keyed by them.
    with paddle.utils.unique_name.guard():
        return nn.Sequential(*((named.name, _layer(named)) for named in named_layers(spec)))


def normalise(pixels: Tensor) -> Tensor:
    """Turn uint8[N, 48, 48] into float32[N, 1, 48, 48] in [-1, 1]."""
    return (pixels.astype("float32") / 127.5 - 1.0).unsqueeze(1)


def set_weights(model: nn.Layer, weights: Weights) -> None:
    """Copy plain arrays into a model built from the same spec."""
    state = model.state_dict()
    for name, array in weights.items():
        state[_paddle_name(name)].set_value(np.ascontiguousarray(_transposed(name, array)))


def get_weights(model: nn.Layer, spec: ModelSpec) -> Weights:
    """Return a model's weights as plain arrays."""
    state = model.state_dict()
    return {
        name: np.array(_transposed(name, state[_paddle_name(name)].numpy()), np.float32, order="C")
        for name in shapes(spec)
    }


def _layer(named: NamedLayer) -> nn.Layer:
    width = named.inputs[0]
    match named.layer:
        case Resize(side):
            return _Resize(side)
        case Conv(channels, kernel, stride, padding, bias):
            return _Conv(width, channels, kernel, stride, padding, bias_attr=None if bias else False)
        case BatchNorm() as norm:
            return _norm(norm, width, spatial=len(named.inputs) == 3)
        case ReLU():
            return nn.ReLU()
        case LeakyReLU(slope):
            return nn.LeakyReLU(slope)
        case MaxPool(kernel, stride, padding):
            return nn.MaxPool2D(kernel, stride, padding)
        case GlobalAveragePool():
            return nn.Sequential(nn.AdaptiveAvgPool2D(1), nn.Flatten())
        case Flatten():
            return nn.Flatten()
        case Dense(units):
            return nn.Linear(width, units)
        case Dropout(rate):
            return nn.Dropout(rate)
        case Residual(channels, stride):
            return _Residual(width, channels, stride)


def _norm(norm: BatchNorm, width: int, *, spatial: bool) -> nn.Layer:
    kind = nn.BatchNorm2D if spatial else nn.BatchNorm1D
    return kind(width, momentum=1 - norm.momentum, epsilon=norm.epsilon)


def _paddle_name(name: str) -> str:
    owner, part = name.rsplit(".", 1)
    return f"{owner}.{PADDLE_NAMES.get(part, part)}"


def _transposed(name: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
    return array.T if name.startswith("dense") and array.ndim == 2 else array
