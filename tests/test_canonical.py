"""The canonical graph: one network, however a converter writes it, gives the same bytes; what is unknown is refused."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from data.errors import InputError
from export.canonical import canonical

RANDOM = np.random.default_rng(5)
CONV = RANDOM.normal(0, 0.3, (4, 1, 3, 3)).astype(np.float32)
BIAS = RANDOM.normal(0, 0.1, 4).astype(np.float32)
GAMMA, BETA, MEAN = (RANDOM.normal(1, 0.2, 4).astype(np.float32) for _ in range(3))
VARIANCE = RANDOM.uniform(0.5, 2, 4).astype(np.float32)
DENSE = RANDOM.normal(0, 0.05, (7, 4 * 24 * 24)).astype(np.float32)
NORM = [("gamma", GAMMA), ("beta", BETA), ("mean", MEAN), ("variance", VARIANCE)]
Node = onnx.NodeProto
Written = tuple[list[Node], list[tuple[str, np.ndarray]]]


def network(nodes: list[Node], constants: list[tuple[str, np.ndarray]], batch: str | int = "batch") -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "any",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 1, 48, 48])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 7])],
        [numpy_helper.from_array(array, name) for name, array in constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    return model


def channels_first() -> Written:
    """As PyTorch's exporter writes it, the slope as an attribute."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", *(name for name, _ in NORM)], ["n"], epsilon=1e-5),
        helper.make_node("LeakyRelu", ["n"], ["a"], alpha=0.1),
        helper.make_node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Reshape", ["p", "shape"], ["f"]),
        helper.make_node("Gemm", ["f", "d"], ["y"], transB=1),
    ]
    return nodes, [("w", CONV), ("b", BIAS), *NORM, ("shape", np.array([-1, 2304])), ("d", DENSE)]


def channels_last() -> Written:
    """As a converter from channels-last writes it: transposes, a Pad, the bias apart, MatMul, flattened last."""
    last = DENSE.reshape(7, 4, 576).transpose(2, 1, 0).reshape(2304, 7)
    nodes = [
        helper.make_node("Shape", ["x"], ["whole"]),
        helper.make_node("Gather", ["whole", "zero"], ["faces"], axis=0),
        helper.make_node("Reshape", ["x", "grey"], ["x_last"]),
        helper.make_node("Transpose", ["x_last"], ["x_first"], perm=[0, 3, 1, 2]),
        helper.make_node("Pad", ["x_first", "edges"], ["padded"]),
        helper.make_node("Conv", ["padded", "w"], ["c"], auto_pad="VALID", kernel_shape=[3, 3]),
        helper.make_node("Transpose", ["c"], ["c_last"], perm=[0, 2, 3, 1]),
        helper.make_node("Add", ["c_last", "b"], ["b_last"]),
        helper.make_node("Transpose", ["b_last"], ["b_first"], perm=[0, 3, 1, 2]),
        helper.make_node("BatchNormalization", ["b_first", *(name for name, _ in NORM)], ["n"], epsilon=1e-5),
        helper.make_node("Mul", ["slope", "n"], ["low"]),
        helper.make_node("Max", ["low", "n"], ["a"]),
        helper.make_node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER"),
        helper.make_node("Transpose", ["p"], ["p_last"], perm=[0, 2, 3, 1]),
        helper.make_node("Concat", ["faces", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["p_last", "shape"], ["f"]),
        helper.make_node("MatMul", ["f", "d"], ["m"]),
        helper.make_node("Add", ["m", "nothing"], ["y"]),
    ]
    constants = [
        *[("zero", np.array([0])), ("rest", np.array([-1])), ("grey", np.array([-1, 48, 48, 1]))],
        *[
            ("edges", np.array([0, 0, 1, 1, 0, 0, 1, 1])),
            ("slope", np.array(0.1, np.float32)),
            ("nothing", np.zeros(7, np.float32)),
        ],
    ]
    return nodes, [*constants, ("w", CONV), ("b", BIAS), *NORM, ("d", last)]


def answers(model: onnx.ModelProto, pixels: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: pixels})[0])


def test_two_dialects_of_one_network_give_the_same_bytes() -> None:
    first, last = (canonical(network(*write())) for write in (channels_first, channels_last))
    assert [node.op_type for node in first.graph.node] == ["Conv", "LeakyRelu", "MaxPool", "Flatten", "Gemm"]
    assert first.SerializeToString(deterministic=True) == last.SerializeToString(deterministic=True)


@pytest.mark.parametrize("write", [channels_first, channels_last])
def test_the_canonical_graph_answers_as_the_converted_one(write: Callable[[], Written]) -> None:
    model = network(*write())
    pixels = RANDOM.uniform(-1, 1, (5, 1, 48, 48)).astype(np.float32)
    rewritten = canonical(model)
    rewritten.ir_version = 10
    assert np.allclose(answers(rewritten, pixels), answers(model, pixels), atol=1e-5)


@settings(max_examples=25)
@given(
    st.integers(1, 5), st.integers(1, 3), st.integers(0, 2), st.integers(1, 4), st.booleans(), st.integers(0, 2**32 - 1)
)
def test_any_window_keeps_its_meaning(kernel: int, stride: int, pad: int, width: int, apart: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    weights = random.normal(size=(width, 1, kernel, kernel)).astype(np.float32)
    before = [helper.make_node("Pad", ["x", "edges"], ["padded"])] if apart else []
    own = [0, 0, 0, 0] if apart else [pad] * 4
    nodes = [
        *before,
        helper.make_node("Conv", ["padded" if apart else "x", "w"], ["c"], strides=[stride] * 2, pads=own),
        helper.make_node("GlobalAveragePool", ["c"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "d"], ["y"]),
    ]
    edges = np.array([0, 0, pad, pad, 0, 0, pad, pad])
    dense = random.normal(size=(width, 7)).astype(np.float32)
    model = network(nodes, [("w", weights), ("d", dense), ("edges", edges)])
    rewritten = canonical(model)
    rewritten.ir_version = 10
    pixels = random.uniform(-1, 1, (2, 1, 48, 48)).astype(np.float32)
    assert np.allclose(answers(rewritten, pixels), answers(model, pixels), atol=1e-4)


def replaced(kind: str, *nodes: Node) -> Written:
    written, constants = channels_first()
    return [new for node in written for new in (nodes if node.op_type == kind else [node])], constants


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (replaced("LeakyRelu", helper.make_node("Elu", ["n"], ["a"])), "Elu"),
        (replaced("Conv", helper.make_node("Conv", ["x", "w"], ["c"], dilations=[2, 2], pads=[2] * 4)), "dilations"),
        (
            replaced(
                "LeakyRelu",
                helper.make_node("Transpose", ["n"], ["t"], perm=[0, 1, 3, 2]),
                helper.make_node("LeakyRelu", ["t"], ["a"], alpha=0.1),
            ),
            "moves values about before MaxPool",
        ),
        (replaced("LeakyRelu", helper.make_node("Mul", ["n", "n"], ["a"])), "Mul"),
        (
            replaced(
                "BatchNormalization",
                helper.make_node("BatchNormalization", ["c", *(n for n, _ in NORM)], ["n"], training_mode=1),
            ),
            "training mode",
        ),
    ],
)
def test_what_no_layer_needs_is_refused_by_name(written: Written, words: str) -> None:
    with pytest.raises(InputError, match=words):
        canonical(network(*written))


def test_a_fixed_batch_is_refused() -> None:
    with pytest.raises(InputError, match="fixed batch"):
        canonical(network(*channels_first(), batch=1))
