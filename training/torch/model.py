"""Builds any spec in PyTorch, and applies an epoch's distortions to whole batches on the device."""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.epoch import Distortion
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
    return {name: state[name].detach().float().cpu().contiguous().numpy().copy() for name in shapes(spec)}


def distort(pixels: Tensor, distortion: Distortion, places: slice, device: torch.device) -> Tensor:
    """Return uint8[N, 48, 48] faces as float32[N, 48, 48], each with its own distortion, grey values 0 to 255."""

    def part(array: Any) -> Tensor:
        return torch.from_numpy(array[places]).to(device, non_blocking=True)

    faces = pixels.float().unsqueeze(1)
    grid = functional.affine_grid(part(distortion.matrices), list(faces.shape), align_corners=False)
    edges = "zeros" if distortion.black_edges else "border"
    faces = functional.grid_sample(faces, grid, padding_mode=edges, align_corners=False).squeeze(1)
    faces = (faces * part(distortion.brightness)[:, None, None]).clamp(0, 255)
    mean = faces.mean(dim=(1, 2), keepdim=True)
    faces = ((faces - mean) * part(distortion.contrast)[:, None, None] + mean).clamp(0, 255)
    top, left, bottom, right = part(distortion.boxes)[:, :, None].unbind(1)
    line = torch.arange(faces.shape[1], device=device)[None]
    erased = ((line >= top) & (line < bottom))[:, :, None] & ((line >= left) & (line < right))[:, None, :]
    return torch.where(erased, mean, faces)


def mixed(values: Tensor, own: Tensor) -> Tensor:
    """Return a batch float32[N, ...] in which each row keeps the share `own` float32[N]; the rest comes from the row as
    far from the end."""
    own = own.view(-1, *(1 for _ in values.shape[1:]))
    return own * values + (1 - own) * values.flip(0)


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
