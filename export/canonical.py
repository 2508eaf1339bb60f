"""One canonical graph for one network, whichever framework's converter wrote it.

Twins from three frameworks then differ in nothing but their weights: the same nodes in the same order, BatchNorm
folded into the layer before it in float64 and rounded once, the same names and the same layout of initialisers. It is
made from the converted graph alone; the parity gate judges the result, not the converter's.
"""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from data.errors import InputError
from export.contract import OPSET
from export.operators import Array, Leak, Operator, Padding, Sides, Window
from export.reading import Reader
from inference.layers import layer_name


def canonical(network: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite a converted network, one input float32[batch, 1, 48, 48] and one output, in the canonical form.

    Raises:
        InputError: the network is not of that form, or holds what no layer of `training.specs` needs.
    """
    entry = _interface(network)
    reader = Reader(network, entry)
    operators = _folded(dict(enumerate(reader.operators)), reader.result)
    return _write(operators, _order(operators, reader.result))


def _interface(network: onnx.ModelProto) -> tuple[int, ...]:
    """Check what goes in and out; return the input's shape without its batch."""
    graph = network.graph
    if len(graph.input) != 1 or len(graph.output) != 1:
        raise InputError(
            f"the converted network has {len(graph.input)} inputs and {len(graph.output)} outputs, expected one of each"
        )
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in graph.initializer):
        raise InputError("the converted network keeps weights in another file; expected all inside")
    axes = graph.input[0].type.tensor_type.shape.dim
    if not axes or axes[0].HasField("dim_value") or not all(axis.HasField("dim_value") for axis in axes[1:]):
        raise InputError("the converted network's input has a fixed batch or open sides; expected [batch, 1, 48, 48]")
    return tuple(axis.dim_value for axis in axes[1:])


def _folded(operators: dict[int, Operator], result: int) -> dict[int, Operator]:
    """Fold scales, shifts and pads into the layers beside them until nothing changes."""
    while True:
        operators = {number: operators[number] for number in _order(operators, result)}
        readers = Counter(source for operator in operators.values() for source in operator.inputs)
        change = next(
            (
                folded
                for number, operator in operators.items()
                if len(operator.inputs) == 1 and (folded := _fold(operators, number, readers)) is not None
            ),
            None,
        )
        if change is None:
            return operators
        operators = operators | change


def _fold(operators: dict[int, Operator], number: int, readers: Counter[int]) -> dict[int, Operator] | None:
    operator = operators[number]
    before = operators[operator.inputs[0]]
    if operator.kind == "Affine" and before.kind in ("Conv", "Gemm", "Affine") and readers[operator.inputs[0]] == 1:
        return {number: _scaled(before, operator)}
    match operator.settings, before.settings:
        case Window() as window, Padding() as padding if _pads_alike(operator.kind, padding):
            pads = tuple(inner + outer for inner, outer in zip(window.pads, padding.pads, strict=True))
            return {number: replace(operator, inputs=before.inputs, settings=replace(window, pads=pads))}
    return None


def _scaled(layer: Operator, affine: Operator) -> Operator:
    weight, bias, scale, shift = layer.weight, layer.bias, affine.weight, affine.bias
    if weight is None or bias is None or scale is None or shift is None:
        raise TypeError("a layer without weights")
    across = scale.reshape(-1, *[1] * (weight.ndim - 1))
    return replace(layer, weight=weight * across, bias=bias * scale + shift)


def _pads_alike(kind: str, padding: Padding) -> bool:
    """Tell whether a layer's own padding is the same: zero for Conv, nothing that wins for MaxPool."""
    return bool(padding.fill == 0 if kind == "Conv" else padding.fill <= np.finfo(np.float32).min)


def _order(operators: dict[int, Operator], result: int) -> list[int]:
    """Return what the result needs, inputs first, the longer way to an `Add` before the shorter."""
    depths: dict[int, int] = {}
    for number in sorted(operators):
        depths[number] = 1 + max((depths[source] for source in operators[number].inputs), default=0)
    order: dict[int, None] = {}
    pending = [(result, False)]
    while pending:
        number, ready = pending.pop()
        if ready:
            order[number] = None
        elif number not in order:
            sources = sorted(operators[number].inputs, key=lambda source: depths[source])
            pending += [(number, True), *((source, False) for source in sources)]
    return list(order)


@dataclass(frozen=True)
class _Parts:
    nodes: list[onnx.NodeProto]
    weights: list[onnx.TensorProto]
    names: dict[int, str]


def _write(operators: dict[int, Operator], order: list[int]) -> onnx.ModelProto:
    parts = _Parts([], [], {})
    counts: Counter[str] = Counter()
    for number in order:
        operator = operators[number]
        if operator.kind == "Input":
            parts.names[number] = "network_input"
            continue
        counts[operator.kind] += 1
        name = layer_name(operator.kind, counts[operator.kind])
        parts.names[number] = name
        depth_first = sorted(operator.inputs, key=order.index)
        _write_operator(operator, name, [parts.names[source] for source in depth_first], operators, parts)
    leave = parts.names[order[-1]]
    shape = operators[order[0]].shape[1:]
    graph = helper.make_graph(
        parts.nodes,
        "network",
        [helper.make_tensor_value_info("network_input", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info(leave, TensorProto.FLOAT, ["batch", *operators[order[-1]].shape[1:]])],
        parts.weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])


def _write_operator(
    operator: Operator, name: str, inputs: list[str], operators: dict[int, Operator], parts: _Parts
) -> None:
    attributes: dict[str, Any] = {}
    match operator.kind, operator.settings:
        case "Gemm", _:
            if len(operators[operator.inputs[0]].shape) > 2:
                parts.nodes.append(helper.make_node("Flatten", inputs, [f"{name}.flat"], f"{name}.flatten", axis=1))
                inputs = [f"{name}.flat"]
            attributes = {"transB": 1}
        case _, Sides(rows, columns):
            # The same for any batch: only rows and columns are named.
            parts.weights.append(numpy_helper.from_array(np.array([rows, columns], np.int64), f"{name}.sides"))
            inputs = [*inputs, "", "", f"{name}.sides"]
            attributes = {"mode": "linear", "coordinate_transformation_mode": "half_pixel", "axes": [2, 3]}
        case _, (Window() | Leak()) as settings:
            attributes = vars(settings)
        case (("Affine" | "Pad"), _):
            raise InputError(f"the converted network has a {operator.kind.lower()} step that belongs to no layer")
    if operator.weight is not None and operator.bias is not None:
        for part, array in (("weight", operator.weight), ("bias", operator.bias)):
            parts.weights.append(numpy_helper.from_array(_float32(array), f"{name}.{part}"))
            inputs = [*inputs, f"{name}.{part}"]
    parts.nodes.append(helper.make_node(operator.kind, inputs, [name], name, **attributes))


def _float32(array: Array) -> Array:
    return np.ascontiguousarray(array, np.float32)
