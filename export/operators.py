"""The few operators that networks here are made of, and how an ONNX node with weights or a window becomes one.

Everything that a converter may leave implicit is made explicit here; whatever no layer here needs is refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError

Array = NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """What a Conv or MaxPool slides: rows and columns, steps, and what is padded above, left, below and right."""

    kernel_shape: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]


@dataclass(frozen=True)
class Padding:
    """What a Pad puts above, left, below and right, and the value that it puts there."""

    pads: tuple[int, ...]
    fill: float


@dataclass(frozen=True)
class Leak:
    """The slope of a LeakyRelu below 0."""

    alpha: float


@dataclass(frozen=True)
class Sides:
    """What a Resize makes of rows and columns."""

    rows: int
    columns: int


@dataclass(frozen=True)
class Operator:
    """One step of a network.

    Attributes:
        kind: `Input`, `Conv`, `Gemm`, `Affine` (scale and shift a channel), `Relu`, `LeakyRelu`, `MaxPool`, `Pad`,
            `GlobalAveragePool`, `Resize` or `Add`.
        inputs: the numbers of the operators that it takes its inputs from.
        shape: of its output, batch first, channels second.
        settings: what else Conv, MaxPool, Pad, LeakyRelu and Resize take.
        weight: float64, [out, in, row, column] of Conv, [out, in] of Gemm, [channel] of Affine.
        bias: float64[out], [channel] of Affine.
    """

    kind: str
    inputs: tuple[int, ...]
    shape: Shape
    settings: Window | Padding | Leak | Sides | None = None
    weight: Array | None = None
    bias: Array | None = None


@dataclass(frozen=True)
class Value:
    """What an edge of the graph carries: an operator's output, moved about.

    `places` has the shape of the value and holds, for each of its elements, the flat index in the source's output.
    """

    source: int
    places: NDArray[np.int64]


@dataclass(frozen=True)
class Call:
    """An ONNX node as a reader sees it: the first input's source and shape, the other inputs, the attributes."""

    name: str
    kind: str
    first: Value
    others: Sequence[Array | Value | None]
    attributes: dict[str, Any]

    @property
    def shape(self) -> Shape:
        """The first input's shape."""
        return self.first.places.shape

    def constant(self, index: int) -> Array:
        """Return an other input as float64; an `InputError` if it is no constant."""
        value = self.others[index]
        if not isinstance(value, np.ndarray):
            raise InputError(f"the converted network's {self.name} takes weights that are no constants")
        return value.astype(np.float64)

    def has(self, index: int) -> bool:
        """Tell whether an other input is given, and not empty."""
        value = self.others[index] if index < len(self.others) else None
        return value is not None and not (isinstance(value, np.ndarray) and value.size == 0)

    def refusal(self, what: str) -> InputError:
        """Return the error that says why this node cannot be read."""
        return InputError(f"the converted network's {self.kind} {self.name} {what}, which no layer here needs")


def conv(call: Call) -> Operator:
    """Read a Conv."""
    weight = call.constant(0)
    if call.attributes.get("group", 1) != 1:
        raise call.refusal("has groups")
    window = _window(call, weight.shape[2:])
    bias = call.constant(1) if call.has(1) else np.zeros(len(weight))
    return Operator("Conv", (call.first.source,), _slid(call.shape, window, len(weight)), window, weight, bias)


def dense(call: Call) -> Operator:
    """Read a Gemm or MatMul of vectors, whatever the order that its input was flattened in."""
    weight = call.constant(0)
    if call.kind == "MatMul" or not call.attributes.get("transB", 0):
        weight = weight.T
    if call.attributes.get("transA", 0) or len(call.shape) != 2:
        raise call.refusal("takes no plain vectors")
    weight = weight * call.attributes.get("alpha", 1.0)
    bias = call.constant(1) * call.attributes.get("beta", 1.0) if call.has(1) else np.zeros(1)
    places, width = call.first.places, weight.shape[1]
    if not np.array_equal(np.sort(places[0]), np.arange(width)) or not np.array_equal(places[1], places[0] + width):
        raise call.refusal("mixes the faces of a batch")
    natural = np.empty_like(weight)
    natural[:, places[0]] = weight
    shape = (call.shape[0], len(weight))
    return Operator("Gemm", (call.first.source,), shape, weight=natural, bias=np.broadcast_to(bias, len(weight)).copy())


def max_pool(call: Call) -> Operator:
    """Read a MaxPool."""
    window = _window(call, call.attributes["kernel_shape"])
    return Operator("MaxPool", (call.first.source,), _slid(call.shape, window, call.shape[1]), window)


def average(call: Call) -> Operator:
    """Read a GlobalAveragePool, or a ReduceMean over rows and columns."""
    if call.kind == "ReduceMean":
        axes = call.constant(0).astype(int).tolist() if call.has(0) else call.attributes.get("axes", [])
        if sorted(axis % len(call.shape) for axis in axes) != [2, 3]:
            raise call.refusal(f"averages over axes {axes}")
    return Operator("GlobalAveragePool", (call.first.source,), (*call.shape[:2], 1, 1))


def resize(call: Call) -> Operator:
    """Read a Resize of rows and columns, bilinear with half-pixel centres."""
    mode, centres = (
        call.attributes.get(name, default)
        for name, default in (("mode", b"nearest"), ("coordinate_transformation_mode", b"half_pixel"))
    )
    if mode != b"linear" or centres not in (b"half_pixel", b"pytorch_half_pixel") or call.attributes.get("antialias"):
        raise call.refusal(f"resizes in mode {mode.decode()}, {centres.decode()}")
    if call.has(2):
        sides = call.constant(2)[-2:]
    elif call.has(1):
        sides = np.array(call.shape[-2:]) * call.constant(1)[-2:]
    else:
        raise call.refusal("has neither sizes nor scales")
    # Rounded, not cut: 48 times float32(14 / 3) may lie below 224.
    rows, columns = (round(side) for side in sides.tolist())
    return Operator("Resize", (call.first.source,), (*call.shape[:2], rows, columns), Sides(rows, columns))


def pad(call: Call) -> Operator:
    """Read a Pad of rows and columns by a constant."""
    pads = call.constant(0).astype(int).tolist()
    fill = float(call.constant(1).ravel()[0]) if call.has(1) else 0.0
    if call.attributes.get("mode", b"constant") != b"constant" or any(pads[axis] for axis in (0, 1, 4, 5)):
        raise call.refusal("pads other than rows and columns by a constant")
    edges = (*pads[2:4], *pads[6:8])
    rows, columns = (side + edges[axis] + edges[axis + 2] for axis, side in enumerate(call.shape[2:]))
    return Operator("Pad", (call.first.source,), (*call.shape[:2], rows, columns), Padding(edges, fill))


READERS: dict[str, Callable[[Call], Operator]] = {
    "Conv": conv,
    "Gemm": dense,
    "MatMul": dense,
    "MaxPool": max_pool,
    "GlobalAveragePool": average,
    "ReduceMean": average,
    "Resize": resize,
    "Pad": pad,
}


def _window(call: Call, kernel: Sequence[int]) -> Window:
    """Return kernel, strides and pads with everything implicit made explicit."""
    attributes = call.attributes
    if any(step != 1 for step in attributes.get("dilations", ())) or attributes.get("ceil_mode", 0):
        raise call.refusal("has dilations or rounds up")
    strides = list(attributes.get("strides", [1, 1]))
    pads = list(attributes.get("pads", [0, 0, 0, 0]))
    automatic = attributes.get("auto_pad", b"NOTSET")
    if automatic in (b"SAME_UPPER", b"SAME_LOWER"):
        sizes = zip(call.shape[2:], kernel, strides, strict=True)
        total = [max(0, (-(-side // step) - 1) * step + size - side) for side, size, step in sizes]
        small, large = [extra // 2 for extra in total], [extra - extra // 2 for extra in total]
        pads = small + large if automatic == b"SAME_UPPER" else large + small
    return Window(tuple(kernel), tuple(strides), tuple(pads))


def _slid(shape: Shape, window: Window, channels: int) -> Shape:
    pads = window.pads
    rows, columns = (
        (side + pads[axis] + pads[axis + 2] - window.kernel_shape[axis]) // window.strides[axis] + 1
        for axis, side in enumerate(shape[2:])
    )
    return (shape[0], channels, rows, columns)
