"""Builds any spec in PyTorch."""

from collections import OrderedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

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


class _Resize(nn.Module):
    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, size=(self.side, self.side), mode="bilinear", align_corners=False)


def build(spec: ModelSpec) -> nn.Sequential:
    """Build a spec: float32[N, 1, 48, 48] in [-1, 1] to logits float32[N, 7]. Its weights are PyTorch's own; set others
    with `set_weights`."""
    return nn.Sequential(OrderedDict((named.name, _module(named)) for named in named_layers(spec)))


def normalise(pixels: Tensor) -> Tensor:
    """Turn uint8[N, 48, 48] into float32[N, 1, 48, 48] in [-1, 1]."""
    return pixels.float().div(127.5).sub(1).unsqueeze(1)


def set_weights(model: nn.Module, weights: Weights) -> None:
    """Copy plain arrays into a model built from the same spec."""
    state = model.state_dict()
    for name, array in weights.items():
        state[name].copy_(torch.from_numpy(array))


def get_weights(model: nn.Module, spec: ModelSpec) -> Weights:
    """Return a model's weights as plain arrays."""
    state = model.state_dict()
    return {name: plain(state[name]) for name in shapes(spec)}


def plain(value: Tensor) -> NDArray[np.float32]:
    """Return a tensor as a plain array of its own, float32 in C order."""
    return np.asarray(value.detach().float().cpu().contiguous().numpy().copy(), np.float32)


def _module(named: NamedLayer) -> nn.Module:
    width = named.inputs[0]
    match named.layer:
        case Resize(side):
            return _Resize(side)
        case Conv(channels, kernel, stride, padding, bias):
            return nn.Conv2d(width, channels, kernel, stride, padding, bias=bias)
        case BatchNorm(epsilon, momentum):
            kind = nn.BatchNorm2d if len(named.inputs) == 3 else nn.BatchNorm1d
            return kind(width, eps=epsilon, momentum=momentum)
        case ReLU():
            return nn.ReLU()
        case LeakyReLU(slope):
            return nn.LeakyReLU(slope)
        case MaxPool(kernel, stride, padding):
            return nn.MaxPool2d(kernel, stride, padding)
        case GlobalAveragePool():
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case Flatten():
            return nn.Flatten()
        case Dense(units):
            return nn.Linear(width, units)
        case Dropout(rate):
            return nn.Dropout(rate)
        case Residual(channels, stride):
            return _residual(width, channels, stride)


def _residual(width: int, channels: int, stride: int) -> nn.Module:
    # Imported here: torchvision takes seconds, and only ResNet-18 needs it.
    from torchvision.models.resnet import BasicBlock

    shortcut = None
    if stride != 1 or width != channels:
        shortcut = nn.Sequential(nn.Conv2d(width, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
    block: nn.Module = BasicBlock(width, channels, stride, shortcut)
    return block
