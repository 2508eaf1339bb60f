"""Weights as plain named arrays, the same for every framework: made, counted, checked, written and read here.

Nothing in such a file can execute: it is read with `allow_pickle=False`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.faceset import SIDE
from data.files import whole_file
from training.specs import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    GlobalAveragePool,
    KaimingNormal,
    Layer,
    MaxPool,
    ModelSpec,
    Residual,
    Resize,
)

Weights = dict[str, NDArray[np.float32]]
Shape = tuple[int, ...]
STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class NamedLayer:
    """A layer with the name that its parameters begin with, and the shape (without batch) that flows into it."""

    name: str
    layer: Layer
    inputs: Shape


def named_layers(spec: ModelSpec) -> Iterator[NamedLayer]:
    """Yield a spec's layers as `conv_1`, `batchnorm_1`, `conv_2`, ..., numbered by kind."""
    shape: Shape = (1, SIDE, SIDE)
    counts: dict[str, int] = {}
    for layer in spec.layers:
        kind = type(layer).__name__.lower()
        counts[kind] = counts.get(kind, 0) + 1
        yield NamedLayer(f"{kind}_{counts[kind]}", layer, shape)
        shape = output_shape(layer, shape)


def output_shape(layer: Layer, shape: Shape) -> Shape:
    """Return the shape, without batch, that leaves `layer` when `shape` enters it."""
    match layer:
        case Resize(side):
            return (shape[0], side, side)
        case Conv(channels, kernel, stride, padding):
            return (channels, *(_slid(side, kernel, stride, padding) for side in shape[1:]))
        case MaxPool(kernel, stride, padding):
            return (shape[0], *(_slid(side, kernel, stride, padding) for side in shape[1:]))
        case Residual(channels, stride):
            return (channels, *(_slid(side, 3, stride, 1) for side in shape[1:]))
        case GlobalAveragePool():
            return shape[:1]
        case Flatten():
            return (int(np.prod(shape)),)
        case Dense(units):
            return (units,)
        case _:
            return shape


def shapes(spec: ModelSpec) -> dict[str, Shape]:
    """Return the shape of every array: convolutions [out, in, row, column], dense layers [out, in]."""
    return {name: shape for named in named_layers(spec) for name, shape in _layer_shapes(named)}


def parameter_count(spec: ModelSpec) -> int:
    """Return the number of trainable values; BatchNorm's running statistics are not among them."""
    return sum(int(np.prod(shape)) for name, shape in shapes(spec).items() if not name.endswith(STATISTICS))


def initial_weights(spec: ModelSpec, seed: int) -> Weights:
    """Draw a spec's initial weights; the same seed gives every framework the same arrays."""
    random = np.random.default_rng([seed, 1])
    wanted = shapes(spec)
    return {name: _initial(spec, name, wanted, random) for name in wanted}


def check_weights(weights: Mapping[str, NDArray[np.float32]], spec: ModelSpec, where: str) -> None:
    """Raise an `InputError` unless `weights` are exactly the spec's arrays, float32 and finite."""
    wanted = shapes(spec)
    if set(weights) != set(wanted):
        missing, extra = sorted(set(wanted) - set(weights)), sorted(set(weights) - set(wanted))
        raise InputError(
            f"{where} lacks {missing[:3]} and has {extra[:3]} besides; expected the {len(wanted)} arrays of {spec.name}"
        )
    for name, array in weights.items():
        if array.shape != wanted[name] or array.dtype != np.float32:
            raise InputError(
                f"{where}: {name} is {array.dtype}{list(array.shape)}, expected float32{list(wanted[name])} "
                f"as in {spec.name}"
            )
        if not np.isfinite(array).all():
            raise InputError(f"{where}: {name} holds NaN or infinity; train again with a lower learning rate")


def save_weights(weights: Weights, spec: ModelSpec, path: Path) -> None:
    """Check weights and write them as an `.npz` of plain arrays, whole or not at all."""
    check_weights(weights, spec, path.name)
    save_arrays(path, weights)


def load_weights(path: Path, spec: ModelSpec) -> Weights:
    """Read and check what `save_weights` wrote."""
    weights = load_arrays(path, f"{path.name} is no readable weight file; expected one that training wrote")
    check_weights(weights, spec, path.name)
    return weights


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write plain arrays as an `.npz`, whole or not at all."""
    # NumPy has a name for "no pickles" here since 2.2 alone, and takes it for an array before.
    plain: dict[str, Any] = dict(arrays)
    with whole_file(path) as file:
        np.savez(file, **plain)


def load_arrays(path: Path, sentence: str) -> dict[str, NDArray[Any]]:
    """Read an `.npz` of plain arrays; an `InputError` with `sentence` where the bytes are not one."""
    try:
        # NumPy does not close a file of its own opening that turns out to be damaged.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # NumPy and zipfile raise whatever the damaged bytes lead to
        raise InputError(f"{sentence} ({type(error).__name__}: {error})") from error


def load_state(path: Path) -> dict[str, NDArray[Any]]:
    """Read a training state of plain arrays; an `InputError` where it is none."""
    return load_arrays(path, f"{path.name} is no state that training wrote; train again")


def _slid(side: int, kernel: int, stride: int, padding: int) -> int:
    return (side + 2 * padding - kernel) // stride + 1


def _layer_shapes(named: NamedLayer) -> Iterator[tuple[str, Shape]]:
    name, width = named.name, named.inputs[0]
    match named.layer:
        case Conv(channels, kernel, bias=bias):
            yield f"{name}.weight", (channels, width, kernel, kernel)
            if bias:
                yield f"{name}.bias", (channels,)
        case BatchNorm():
            yield from _norm_shapes(name, width)
        case Dense(units):
            yield f"{name}.weight", (units, width)
            yield f"{name}.bias", (units,)
        case Residual(channels, stride):
            yield f"{name}.conv1.weight", (channels, width, 3, 3)
            yield from _norm_shapes(f"{name}.bn1", channels)
            yield f"{name}.conv2.weight", (channels, channels, 3, 3)
            yield from _norm_shapes(f"{name}.bn2", channels)
            if stride != 1 or width != channels:
                yield f"{name}.downsample.0.weight", (channels, width, 1, 1)
                yield from _norm_shapes(f"{name}.downsample.1", channels)


def _norm_shapes(name: str, width: int) -> Iterator[tuple[str, Shape]]:
    for part in ("weight", "bias", *STATISTICS):
        yield f"{name}.{part}", (width,)


def _initial(
    spec: ModelSpec, name: str, wanted: Mapping[str, Shape], random: np.random.Generator
) -> NDArray[np.float32]:
    shape = wanted[name]
    owner, part = name.rsplit(".", 1)
    weight_shape = wanted[f"{owner}.weight"]
    if len(weight_shape) == 1:
        return np.full(shape, 1.0 if part in ("weight", "running_var") else 0.0, np.float32)
    initialiser = spec.conv_init if len(weight_shape) == 4 else spec.dense_init
    if isinstance(initialiser, KaimingNormal):
        if part == "bias":
            return np.zeros(shape, np.float32)
        fan_out = weight_shape[0] * int(np.prod(weight_shape[2:]))
        deviation = np.sqrt(2 / ((1 + initialiser.slope**2) * fan_out))
        return random.normal(0, deviation, shape).astype(np.float32)
    bound = 1 / np.sqrt(np.prod(weight_shape[1:]))
    return random.uniform(-bound, bound, shape).astype(np.float32)
