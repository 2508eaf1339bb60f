"""A declaration as nodes: from `pixels` to what a foreign model takes, and from its answers to logits of the seven.

`export.adopt.reference` says the same in NumPy and OpenCV, and shares nothing with this: the gate compares the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from data.faceset import LABELS, SIDE
from export.adopt.resizing import Taps, column_taps, cubic_matrix, linear_matrix, row_taps
from export.contract import enclose, tensors
from inference.adoption import Answers, Others, Preprocessing, columns

# Keras's own epsilon: a probability below is answered as this one, so that every logit is finite.
FLOOR = 1e-7
# Keeps a sum of nothing from being divided by.
TINY = 1e-30
# Two shifts of OpenCV's fixed point, by 4 and by 16 bits, and what rounds the last two.
COARSE, FINE, HALF, LAST = 16, 1 << 16, 2, 4


@dataclass
class Chain:
    """Nodes one after another, each of which takes what the last one gave."""

    value: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, array: NDArray[Any] | np.generic) -> str:
        """Add a constant, and return its name."""
        name = f"contract_constant_{len(self.weights) + 1}"
        self.weights += tensors({name: array})
        return name

    def step(self, operator: str, *others: str, value: str | None = None, **attributes: Any) -> str:
        """Add a node that takes `value`, by default the last one, and others; return what it gives."""
        name = f"contract_{operator.lower()}_{len(self.nodes) + 1}"
        self.nodes.append(helper.make_node(operator, [value or self.value, *others], [name], name, **attributes))
        self.value = name
        return name


def wrap_foreign(
    network: onnx.ModelProto, preprocessing: Preprocessing, names: Sequence[str], answers: Answers, others: Others
) -> onnx.ModelProto:
    """Put the contract, and what is declared, around a network that `export.adopt.network` has made."""
    graph = network.graph
    chain = Chain("pixels")
    feed(chain, preprocessing)
    chain.step("Identity")
    chain.nodes[-1].output[0] = graph.input[0].name
    chain.nodes += graph.node
    chain.weights += graph.initializer
    chain.value = graph.output[0].name
    take(chain, tuple(names), answers, others)
    return enclose(chain.nodes, chain.value, chain.weights)


def feed(chain: Chain, preprocessing: Preprocessing) -> None:
    """Add what makes of uint8[batch, 48, 48] the input of a model, float32."""
    size = preprocessing.size
    if size == SIDE:
        chain.step("Cast", to=TensorProto.FLOAT)
    elif preprocessing.resize == "opencv-linear":
        _resize_whole(chain, size)
    else:
        chain.step("Cast", to=TensorProto.FLOAT)
        matrix = linear_matrix(size) if preprocessing.resize == "linear" else cubic_matrix(size)
        # Columns first, as OpenCV does.
        chain.step("MatMul", chain.constant(np.ascontiguousarray(matrix.T)))
        rows = chain.constant(matrix)
        chain.nodes.append(helper.make_node("MatMul", [rows, chain.value], ["contract_resized"], "contract_resize"))
        chain.value = "contract_resized"
    _spread(chain, preprocessing)
    _normalise(chain, preprocessing)


def _resize_whole(chain: Chain, size: int) -> None:
    """Resize as `cv2.resize` does uint8 pictures: all in whole numbers, the largest of which is below 2**27."""
    chain.step("Cast", to=TensorProto.INT32)
    left, right = _weighted(chain, column_taps(size), axis=2)
    coarse = chain.constant(np.int32(COARSE))
    chain.step("Add", right, value=left)
    chain.step("Div", coarse)
    above, below = _weighted(chain, row_taps(size), axis=1)
    fine = chain.constant(np.int32(FINE))
    # Each of the two is rounded down by itself.
    upper, lower = (chain.step("Div", fine, value=part) for part in (above, below))
    chain.step("Add", lower, value=upper)
    chain.step("Add", chain.constant(np.int32(HALF)))
    chain.step("Div", chain.constant(np.int32(LAST)))
    chain.step("Cast", to=TensorProto.FLOAT)


def _weighted(chain: Chain, taps: Taps, axis: int) -> tuple[str, str]:
    """Return the two neighbours of each new pixel along an axis, each times its weight."""
    picture = chain.value
    shape = (-1, 1) if axis == 1 else (-1,)
    parts = []
    for places, weights in ((taps.low, taps.of_low), (taps.high, taps.of_high)):
        chain.step("Gather", chain.constant(places.astype(np.int64)), value=picture, axis=axis)
        parts.append(chain.step("Mul", chain.constant(weights.reshape(shape))))
    return parts[0], parts[1]


def _spread(chain: Chain, preprocessing: Preprocessing) -> None:
    """Give a picture its axis of channels, and repeat it over them."""
    if preprocessing.layout == "nhw":
        return
    axis = 1 if preprocessing.layout == "nchw" else 3
    chain.step("Unsqueeze", chain.constant(np.array([axis])))
    if preprocessing.channels > 1:
        chain.step("Concat", *[chain.value] * (preprocessing.channels - 1), axis=axis)


def _normalise(chain: Chain, preprocessing: Preprocessing) -> None:
    if preprocessing.divide_by != 1:
        chain.step("Div", chain.constant(np.float32(preprocessing.divide_by)))
    for operator, values, nothing in (("Sub", preprocessing.mean, 0), ("Div", preprocessing.deviation, 1)):
        if set(values) != {nothing}:
            chain.step(operator, chain.constant(_across(preprocessing, preprocessing.in_order(values))))


def _across(preprocessing: Preprocessing, values: tuple[float, ...]) -> NDArray[np.float32]:
    """Return values so shaped that they meet the channels that they are of."""
    array = np.array(values, np.float32)
    return array.reshape(-1, 1, 1) if preprocessing.layout == "nchw" and len(values) > 1 else array


def take(chain: Chain, names: tuple[str, ...], answers: Answers, others: Others) -> None:
    """Add what makes of a model's answers the logits of the seven, in their order.

    Logits stay what they are; what is dropped leaves softmax to the rest. Logits of probabilities are their logarithms.
    """
    chain.step("Flatten", axis=1)
    wanted = columns(names)
    beside = tuple(place for place in range(len(names)) if place not in wanted)
    if others == "kept-out" and beside:
        _keep_out(chain, wanted, beside, answers)
        return
    _pick(chain, wanted, len(names))
    if answers == "probabilities":
        if beside:
            axis = chain.constant(np.array([1]))
            seven = chain.value
            chain.step("ReduceSum", axis, keepdims=1)
            total = chain.step("Max", chain.constant(np.float32(TINY)))
            chain.step("Div", total, value=seven)
        _logarithm(chain)


def _keep_out(chain: Chain, wanted: tuple[int, ...], beside: tuple[int, ...], answers: Answers) -> None:
    """Spread the share of other labels evenly over the seven."""
    if answers == "logits":
        chain.step("Softmax", axis=1)
    every = chain.value
    seven = chain.step("Gather", chain.constant(np.array(wanted)), axis=1)
    chain.step("Gather", chain.constant(np.array(beside)), value=every, axis=1)
    chain.step("ReduceSum", chain.constant(np.array([1])), keepdims=1)
    share = chain.step("Div", chain.constant(np.float32(len(LABELS))))
    chain.step("Add", share, value=seven)
    _logarithm(chain)


def _pick(chain: Chain, wanted: tuple[int, ...], count: int) -> None:
    if wanted != tuple(range(count)):
        chain.step("Gather", chain.constant(np.array(wanted)), axis=1)


def _logarithm(chain: Chain) -> None:
    chain.step("Max", chain.constant(np.float32(FLOOR)))
    chain.step("Log")
