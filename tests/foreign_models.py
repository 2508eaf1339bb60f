"""Tiny models of the signatures of well-known ones: their inputs, axes, opsets, outputs, and kinds of layers.

The last layer of each is fitted to drawn faces, so that what they answer differs from face to face and is mostly right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from data.faceset import LABELS, FaceSet
from export.adopt.presets import PRESETS
from export.adopt.reference import fed
from inference.adoption import Preprocessing
from inference.engine import CPU, open_session

GRID = 16  # Rows and columns that the first layer leaves.
CHANNELS = 2
FEATURES = CHANNELS * GRID * GRID


@dataclass
class Body:
    """A model without its last layer: nodes from its input to the value `features`, [batch, `FEATURES`]."""

    input: str
    shape: Sequence[int | str]
    output: str
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, NDArray[Any]] = field(default_factory=dict)
    softmax: bool = False

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))

    def weight(self, name: str, array: NDArray[Any]) -> str:
        self.weights[name] = array
        return name


def pooling(side: int, channels: int) -> NDArray[np.float32]:
    """A convolution that means over squares, each channel with another sign of what lies in them."""
    kernel = side // GRID
    weights = np.random.default_rng(side).normal(1, 0.3, (CHANNELS, channels, kernel, kernel))
    return np.asarray(weights / weights[0].size, np.float32)


def ferplus() -> Body:
    """The ONNX zoo's: opset 8, weights as inputs, a batch of one that is part of the graph, logits of eight."""
    body = Body("Input3", [1, 1, 64, 64], "Plus692_Output_0", 8)
    body.add("Div", ["Input3", body.weight("Constant343", np.array(255, np.float32))], "scaled")
    stride = {"kernel_shape": [4, 4], "strides": [4, 4]}
    body.add("Conv", ["scaled", body.weight("Parameter3", pooling(64, 1))], "pooled", **stride)
    body.add("Relu", ["pooled"], "kept")
    body.add("Dropout", ["kept"], "dropped", ratio=0.25)
    sides = body.weight("Dropout_reshape0_shape", np.array([1, FEATURES]))
    body.add("Reshape", ["dropped", sides], "features")
    return body


def hsemotion() -> Body:
    """EfficientNet's kinds of layers in three channels of 224 pixels, an open batch."""
    body = Body("input", ["batch_size", 3, 224, 224], "output", 11)
    body.add("Conv", ["input", body.weight("stem", pooling(224, 3))], "pooled", kernel_shape=[14, 14], strides=[14, 14])
    for name, value in (("scale", 1.5), ("shift", 0.1), ("mean", 0.0), ("var", 1.0)):
        body.weight(name, np.full(CHANNELS, value, np.float32))
    body.add("BatchNormalization", ["pooled", "scale", "shift", "mean", "var"], "normal")
    body.add("Sigmoid", ["normal"], "gate")
    body.add("Mul", ["normal", "gate"], "swished")
    body.add("Flatten", ["swished"], "features", axis=1)
    return body


def rmn() -> Body:
    """A residual mask over features, and a view of the batch's own size, as torch writes it."""
    body = Body("input", ["batch", 3, 224, 224], "output", 12)
    body.add("Conv", ["input", body.weight("stem", pooling(224, 3))], "pooled", kernel_shape=[14, 14], strides=[14, 14])
    body.add("Relu", ["pooled"], "kept")
    body.add("MaxPool", ["kept"], "small", kernel_shape=[2, 2], strides=[2, 2])
    up = np.random.default_rng(1).normal(0, 0.5, (CHANNELS, CHANNELS, 2, 2)).astype(np.float32)
    body.add("ConvTranspose", ["small", body.weight("up", up)], "large", kernel_shape=[2, 2], strides=[2, 2])
    body.add("Softmax", ["large"], "mask", axis=1)
    body.add("Add", ["mask", body.weight("one", np.array(1, np.float32))], "more")
    body.add("Mul", ["kept", "more"], "residual")
    body.add("Shape", ["residual"], "sides")
    body.add("Constant", [], "first", value=numpy_helper.from_array(np.array(0)))
    body.add("Gather", ["sides", "first"], "count", axis=0)
    body.add("Unsqueeze", ["count"], "counts", axes=[0])
    body.add("Concat", ["counts", body.weight("rest", np.array([-1]))], "view", axis=0)
    body.add("Reshape", ["residual", "view"], "features")
    return body


def keras(side: int) -> Body:
    """What tf2onnx makes of a Keras model: channels last, transposed inside, a softmax at the end."""
    body = Body("input_1", ["unk__1", side, side, 1], "predictions", 18, softmax=True)
    kernel = side // GRID
    body.add("Transpose", ["input_1"], "first", perm=[0, 3, 1, 2])
    stride = {"kernel_shape": [kernel, kernel], "strides": [kernel, kernel]}
    body.add("Conv", ["first", body.weight("kernel", pooling(side, 1))], "pooled", **stride)
    body.add("Tanh", ["pooled"], "bent")
    body.add("Transpose", ["bent"], "last", perm=[0, 2, 3, 1])
    body.add("Reshape", ["last", body.weight("flat", np.array([-1, FEATURES]))], "features")
    return body


BODIES: dict[str, Callable[[], Body]] = {
    "emotion-ferplus-8": ferplus,
    "hsemotion": hsemotion,
    "rmn": rmn,
    "fer": lambda: keras(64),
    "deepface": lambda: keras(48),
}


def foreign_model(preset: str, faces: FaceSet) -> onnx.ModelProto:
    """A tiny model of a preset's signature, fitted to faces."""
    declared = PRESETS[preset]
    return fitted(BODIES[preset](), declared.preprocessing, declared.names, faces)


def fitted(body: Body, preprocessing: Preprocessing, names: Sequence[str], faces: FaceSet) -> onnx.ModelProto:
    """A body with a last layer that tells faces apart; what is none of the seven is answered like neutral, but less."""
    faces = faces if body.shape[1] == 1 else replace(faces, records=faces.records[::2])
    features = _features(body, preprocessing, faces)
    centred = features - features.mean(axis=0)
    targets = np.eye(len(LABELS))[faces.labels] - 1 / len(LABELS)
    products = centred.T @ centred
    ridge = 3e-2 * np.trace(products) / FEATURES * np.eye(FEATURES)
    weights = 8 * np.linalg.solve(products + ridge, centred.T @ targets)
    places = [LABELS.index(name if name in LABELS else "neutral") for name in names]
    less = np.array([1.0 if name in LABELS else 0.5 for name in names])
    dense = (weights[:, places] * less).astype(np.float32)
    bias = (-features.mean(axis=0) @ dense).astype(np.float32)
    body.add("MatMul", ["features", body.weight("dense", dense)], "product")
    scores = "scores" if body.softmax else body.output
    body.add("Add", ["product", body.weight("bias", bias.reshape(1, -1))], scores)
    if body.softmax:
        body.add("Softmax", [scores], body.output, axis=-1)
    return _model(body, body.output, [body.shape[0], len(names)])


def _features(body: Body, preprocessing: Preprocessing, faces: FaceSet) -> NDArray[np.float64]:
    session = open_session(_model(body, "features", [body.shape[0], FEATURES]).SerializeToString(), "body", CPU, 1)
    batch = body.shape[0] if isinstance(body.shape[0], int) else 50
    inputs = fed(faces.pixels, preprocessing)
    parts = [inputs[start : start + batch] for start in range(0, len(inputs), batch)]
    return np.concatenate([session.run(["features"], {body.input: part})[0] for part in parts]).astype(np.float64)


def _model(body: Body, output: str, shape: Sequence[int | str]) -> onnx.ModelProto:
    weights = [numpy_helper.from_array(array, name) for name, array in body.weights.items()]
    inputs = [helper.make_tensor_value_info(body.input, TensorProto.FLOAT, body.shape)]
    if body.opset < 9:
        # Until IR 4 each weight had to be an input, too.
        inputs += [helper.make_tensor_value_info(one.name, one.data_type, one.dims) for one in weights]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)]
    graph = helper.make_graph(body.nodes, "foreign", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", body.opset)], producer_name="tiny")
    model.ir_version = 3 if body.opset < 9 else 8
    return model
