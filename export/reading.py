"""Reads a converter's graph into the few operators that networks here are made of, whatever dialect it is written in.

Frameworks agree on what a network computes and differ in how they say it: convolutions in channels-last between
transposes, shapes computed from shapes, a dense layer as MatMul and Add. The graph is interpreted once, for a batch of
two faces: what depends on constants alone is computed; what merely moves values is not executed but tracked, as the
place in its source that each value comes from. So an operator is recognised by what it does, and a transpose costs
nothing.
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from data.errors import InputError
from export.operators import READERS, Array, Call, Leak, Operator, Shape, Value

BATCH = 2
MOVEMENTS = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Expand")
NOTHING_DONE = ("Identity", "Dropout", "Cast", "CastLike")


class Reader:
    """Interprets a graph with one input [batch, *shape] and one output.

    Attributes:
        operators: what the graph computes, each after those it takes its inputs from; the first is the input.
        result: the number of the operator that the output comes from.
    """

    def __init__(self, model: onnx.ModelProto, shape: Shape) -> None:
        """Read a graph; an `InputError` names what in it no layer of `training.specs` needs."""
        self.operators: list[Operator] = []
        self._opsets = model.opset_import
        graph = model.graph
        self._values: dict[str, Array | Value] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer
        }
        self._values[graph.input[0].name] = self._add(Operator("Input", (), (BATCH, *shape)))
        for node in graph.node:
            self._read(node)
        leave = self._values[graph.output[0].name]
        if not isinstance(leave, Value):
            raise InputError("the converted network's output does not depend on its input")
        self._check_order(leave, "its output")
        self.result = leave.source

    def _read(self, node: onnx.NodeProto) -> None:
        inputs = [self._values[name] if name else None for name in node.input]
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        if not any(isinstance(value, Value) for value in inputs):
            constants = {name: array for name, array in zip(node.input, inputs, strict=True) if name}
            self._values |= zip(node.output, self._evaluate(node, constants), strict=True)
        elif isinstance(inputs[0], Value) and node.op_type not in ELEMENTWISE:
            call = Call(node.name, node.op_type, inputs[0], inputs[1:], attributes)
            self._values[node.output[0]] = self._one_input(node, call)
        else:
            self._values[node.output[0]] = self._elementwise(node, inputs)

    def _one_input(self, node: onnx.NodeProto, call: Call) -> Array | Value:
        value = call.first
        match call.kind:
            case "Shape":
                shape = np.array(call.shape, np.int64)
                return shape[call.attributes.get("start", 0) : call.attributes.get("end", len(shape))]
            case kind if kind in NOTHING_DONE:
                return value
            case kind if kind in MOVEMENTS:
                constants = {name: self._values[name] for name in node.input[1:] if name}
                return Value(value.source, self._evaluate(node, {node.input[0]: value.places} | constants)[0])
            case "Relu":
                return self._pointwise(value, "Relu")
            case "LeakyRelu":
                return self._pointwise(value, "LeakyRelu", Leak(float(call.attributes.get("alpha", 0.01))))
            case "BatchNormalization":
                return self._normalised(call)
            case kind if kind in READERS:
                return self._layer(call)
        raise call.refusal("is an operator")

    def _layer(self, call: Call) -> Value:
        if call.kind not in ("Gemm", "MatMul"):
            self._check_order(call.first, f"{call.kind} {call.name}")
        added = self._add(READERS[call.kind](call))
        if call.kind == "ReduceMean" and not call.attributes.get("keepdims", 1):
            return Value(added.source, added.places.reshape(call.shape[:2]))
        return added

    def _normalised(self, call: Call) -> Value:
        if call.attributes.get("training_mode", 0):
            raise InputError("the converted network normalises by the batch at hand: it was exported in training mode")
        gamma, beta, mean, variance = (call.constant(index) for index in range(4))
        scale = gamma / np.sqrt(variance + call.attributes.get("epsilon", 1e-5))
        across = (1, -1, *[1] * (len(call.shape) - 2))
        return self._affine(call.first, scale.reshape(across), (beta - mean * scale).reshape(across))

    def _elementwise(self, node: onnx.NodeProto, inputs: list[Array | Value | None]) -> Array | Value:
        match node.op_type, inputs:
            case "CastLike", [constant, Value()]:
                # What flows through the network is float32 everywhere.
                return np.asarray(constant, np.float32)
            case "Max", [Value() as one, Value() as other]:
                return self._leaky(one, other)
            case "Add", [Value() as one, Value() as other] if np.array_equal(one.places, other.places):
                added = self._add(Operator("Add", (one.source, other.source), self.operators[one.source].shape))
                return Value(added.source, one.places)
            case "Add", ([Value() as value, np.ndarray() as constant] | [np.ndarray() as constant, Value() as value]):
                return self._affine(value, np.ones(()), constant.astype(np.float64))
            case "Mul", ([Value() as value, np.ndarray() as constant] | [np.ndarray() as constant, Value() as value]):
                return self._affine(value, constant.astype(np.float64), np.zeros(()))
            case "Sub", [Value() as value, np.ndarray() as constant]:
                return self._affine(value, np.ones(()), -constant.astype(np.float64))
            case "Sub", [np.ndarray() as constant, Value() as value]:
                return self._affine(value, -np.ones(()), constant.astype(np.float64))
            case "Div", [Value() as value, np.ndarray() as constant]:
                return self._affine(value, 1 / constant.astype(np.float64), np.zeros(()))
        raise InputError(f"the converted network uses {node.op_type} ({node.name}) in a way that no layer here needs")

    def _leaky(self, one: Value, other: Value) -> Value:
        """Recognise max(x, a x) with 0 < a < 1."""
        for value, scaled in ((one, other), (other, one)):
            operator = self.operators[scaled.source]
            if operator.kind != "Affine" or operator.inputs != (value.source,) or operator.weight is None:
                continue
            slopes = np.unique(operator.weight)
            if len(slopes) == 1 and 0 < slopes[0] < 1 and operator.bias is not None and not operator.bias.any():
                return self._pointwise(value, "LeakyRelu", Leak(float(slopes[0])))
        raise InputError("the converted network uses Max in a way that no layer here needs")

    def _affine(self, value: Value, scale: Array, shift: Array) -> Value:
        shape = self.operators[value.source].shape
        weight, bias = (_per_channel(value, part, shape) for part in (scale, shift))
        added = self._add(Operator("Affine", (value.source,), shape, weight=weight, bias=bias))
        return Value(added.source, value.places)

    def _pointwise(self, value: Value, kind: str, settings: Leak | None = None) -> Value:
        added = self._add(Operator(kind, (value.source,), self.operators[value.source].shape, settings))
        return Value(added.source, value.places)

    def _add(self, operator: Operator) -> Value:
        self.operators.append(operator)
        return Value(len(self.operators) - 1, np.arange(int(np.prod(operator.shape))).reshape(operator.shape))

    def _check_order(self, value: Value, where: str) -> None:
        ordered = np.array_equal(value.places.ravel(), np.arange(value.places.size))
        if not ordered or value.places.shape != self.operators[value.source].shape:
            raise InputError(f"the converted network moves values about before {where} in a way that no layer needs")

    def _evaluate(self, node: onnx.NodeProto, inputs: dict[str, Any]) -> list[Array]:
        def untyped(names: Any) -> list[onnx.ValueInfoProto]:
            return [helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in names]

        graph = helper.make_graph([node], "constant", untyped(inputs), untyped(node.output))
        return list(ReferenceEvaluator(helper.make_model(graph, opset_imports=self._opsets)).run(None, inputs))


ELEMENTWISE = ("Add", "Sub", "Mul", "Div", "Max")


def _per_channel(value: Value, part: Array, shape: Shape) -> Array:
    """Return float64[channel] for what is added to or multiplied with a value that may have been moved about."""
    natural = np.empty(int(np.prod(shape)))
    natural[value.places.ravel()] = np.broadcast_to(part, value.places.shape).ravel()
    channels = np.moveaxis(natural.reshape(shape), 1, 0).reshape(shape[1], -1)
    if (channels != channels[:, :1]).any():
        raise InputError("the converted network scales or shifts the values of one channel differently")
    return channels[:, 0].copy()
