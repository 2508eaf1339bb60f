"""What is declared of a foreign model, as nodes and as NumPy and OpenCV say it: two programs, one answer."""

from dataclasses import replace

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from data.documents import parse_document
from data.errors import InputError
from data.faceset import LABELS
from export.adopt.declaration import Wish, declared, parse_names
from export.adopt.foreign import Foreign
from export.adopt.network import INPUT, OUTPUT, foreign_network
from export.adopt.nodes import Chain, feed, take
from export.adopt.presets import PRESETS
from export.adopt.reference import fed, logits, what_they_are
from export.adopt.resizing import UNIT, column_taps, cubic_matrix, linear_matrix, row_taps
from inference.adoption import Answers, Others, Preprocessing, ValidationFigures, columns
from inference.engine import CPU, open_session
from inference.operators import OPERATORS, check_operators

FACES = np.random.default_rng(0).integers(0, 256, (6, 48, 48), dtype=np.uint8)
FACES[0], FACES[1] = 0, 255
FACES[2] = np.where(FACES[2] > 127, 255, 0)
EIGHT = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt")


def run(chain: Chain, kind: int, values: NDArray[np.generic]) -> NDArray[np.float32]:
    """What a chain makes of values, in onnxruntime; it is made of operators that engines take."""
    graph = helper.make_graph(
        chain.nodes,
        "chain",
        [helper.make_tensor_value_info("pixels", kind, ["batch", *values.shape[1:]])],
        [helper.make_tensor_value_info(chain.value, TensorProto.FLOAT, None)],
        chain.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content = model.SerializeToString()
    check_operators(content, "chain")
    answer: NDArray[np.float32] = open_session(content, "chain", CPU, 1).run(None, {"pixels": values})[0]
    return answer


@st.composite
def preprocessings(draw: st.DrawFn) -> Preprocessing:
    channels = draw(st.sampled_from([1, 3]))
    numbers = st.floats(0.125, 3, width=32)
    several = st.one_of(st.tuples(numbers), st.tuples(*[numbers] * channels))
    return Preprocessing(
        size=draw(st.integers(8, 320)),
        resize=draw(st.sampled_from(["opencv-linear", "linear", "cubic"])),
        channels=1 if channels == 1 else 3,
        order=draw(st.sampled_from(["rgb", "bgr"])),
        divide_by=draw(st.sampled_from([1.0, 127.5, 255.0])),
        mean=draw(several),
        deviation=draw(several),
        layout=draw(st.sampled_from(["nchw", "nhwc", "nhw"] if channels == 1 else ["nchw", "nhwc"])),
    )


@given(preprocessings())
@settings(max_examples=40)
def test_nodes_feed_a_model_as_numpy_and_opencv_do(declared: Preprocessing) -> None:
    chain = Chain("pixels")
    feed(chain, declared)
    made, wanted = run(chain, TensorProto.UINT8, FACES), fed(FACES, declared)
    assert made.shape == wanted.shape == (len(FACES), *declared.shape)
    if declared.resize == "opencv-linear":
        np.testing.assert_array_equal(made, wanted)
    else:
        # In grey values: floats are summed in another order.
        grey = declared.divide_by * min(declared.deviation)
        assert np.abs(made - wanted).max() * grey < 3e-4


@pytest.mark.parametrize("size", [8, 20, 44, 47, 49, 64, 96, 112, 224, 260, 512])
def test_whole_grey_values_are_those_of_opencv_to_the_last_bit(size: int) -> None:
    chain = Chain("pixels")
    feed(chain, Preprocessing(size=size))
    wanted = np.stack([cv2.resize(face, (size, size)) for face in FACES])
    np.testing.assert_array_equal(run(chain, TensorProto.UINT8, FACES)[:, 0], wanted)


def test_every_rule_gives_each_new_pixel_its_whole_weight() -> None:
    for size in range(8, 513, 7):
        for matrix in (linear_matrix(size), cubic_matrix(size)):
            np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
        for taps in (column_taps(size), row_taps(size)):
            assert set(np.unique(taps.of_low + taps.of_high)) <= {UNIT - 1, UNIT, UNIT + 1}


@pytest.mark.parametrize("others", ["dropped", "kept-out"])
@pytest.mark.parametrize("answers", ["logits", "probabilities"])
@pytest.mark.parametrize("names", [LABELS, EIGHT, (*reversed(LABELS), "valence", "arousal")])
def test_nodes_take_answers_as_numpy_does(names: tuple[str, ...], answers: Answers, others: Others) -> None:
    raw = np.random.default_rng(1).normal(0, 6, (40, len(names))).astype(np.float32)
    raw[0], raw[1, 0] = 0, 60
    if answers == "probabilities":
        raw = np.exp(raw.astype(np.float64) - raw.max(axis=1, keepdims=True)).astype(np.float32)
        raw /= raw.sum(axis=1, keepdims=True)
    chain = Chain("pixels")
    take(chain, names, answers, others)
    made, wanted = run(chain, TensorProto.FLOAT, raw), logits(raw, names, answers, others)
    np.testing.assert_allclose(made, wanted, rtol=1e-5, atol=1e-5)
    assert np.isfinite(made).all()
    seven = raw[:, list(columns(names))]
    certain = np.sort(seven, axis=1)[:, -1] - np.sort(seven, axis=1)[:, -2] > 1e-5
    assert (made.argmax(axis=1) == seven.argmax(axis=1))[certain].all()


def test_a_face_that_a_model_takes_for_something_else_gets_no_sure_answer_where_that_is_kept_out() -> None:
    contempt = np.array([[0.01, 0.03, 0, 0, 0, 0, 0, 0.96]], np.float32)
    sure, unsure = (np.exp(logits(contempt, EIGHT, "probabilities", others)) for others in ("dropped", "kept-out"))
    assert round(float(sure.max()), 2) == 0.75
    assert round(float(unsure.max()), 2) == 0.17
    assert np.argmax(sure) == np.argmax(unsure) == LABELS.index("happy")


def test_answers_tell_what_they_are_or_that_somebody_has_to_say() -> None:
    shares = np.full((2, 7), 1 / 7, np.float32)
    assert what_they_are(shares) == "probabilities"
    assert what_they_are(shares * 7 - 3) == "logits"
    assert what_they_are(shares * 3) is None


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_whole_declaration_with_its_source(name: str) -> None:
    preset = PRESETS[name]
    assert sorted(columns(preset.names)) == sorted({preset.names.index(label) for label in LABELS})
    assert preset.source.startswith("https://")
    assert preset.trained_on


def test_synonyms_are_read_and_other_names_stay() -> None:
    names = parse_names("Anger, Contempt,Disgust,Fear,Happiness,Neutral,Sadness,Surprise")
    assert names == ("angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")
    with pytest.raises(InputError, match="--labels"):
        parse_names("angry,,x")


def foreign(shape: tuple[int | None, ...], *outputs: str) -> Foreign:
    return Foreign("a.onnx", b"", "x", shape, dict.fromkeys(outputs or ("y",), (None, 7)), 18, "")


SEVEN = Wish(names=",".join(LABELS), divide_by=255.0)


@pytest.mark.parametrize(
    ("shape", "layout", "channels", "size"),
    [
        ((None, 1, 64, 64), "nchw", 1, 64),
        ((1, 3, 224, 224), "nchw", 3, 224),
        ((None, 40, 40, 3), "nhwc", 3, 40),
        ((7, 48, 48), "nhw", 1, 48),
    ],
)
def test_a_file_says_its_layout_channels_and_size(
    shape: tuple[int | None, ...], layout: str, channels: int, size: int
) -> None:
    found = declared(SEVEN, foreign(shape)).preprocessing
    assert (found.layout, found.channels, found.size) == (layout, channels, size)


@pytest.mark.parametrize(
    ("wish", "file", "said"),
    [
        (SEVEN, foreign((None, 1, 64, 64), "a", "b"), r"several outputs \(a, b\).*--output NAME"),
        (SEVEN, foreign((None, None, None, None)), "tells no layout"),
        (SEVEN, foreign((None, 3, None, None)), "pictures of any size.*--size N"),
        (SEVEN, foreign((None, 5, 64, 64)), "tells no layout"),
        (
            replace(SEVEN, names=f"{SEVEN.names},valence", others="kept-out"),
            foreign((1, 1, 9, 9)),
            "valence is no label",
        ),
    ],
)
def test_what_a_file_leaves_open_has_to_be_said(wish: Wish, file: Foreign, said: str) -> None:
    with pytest.raises(InputError, match=said):
        declared(wish, file)
    open_size = declared(replace(SEVEN, size=96), foreign((None, 3, None, None))).preprocessing
    assert (open_size.size, open_size.channels) == (96, 3)


def test_a_declaration_reads_as_the_formula_that_it_is() -> None:
    plain = Preprocessing(size=48)
    assert plain.words == "48x48 pixels, 1 channel, grey value, NCHW"
    assert PRESETS["fer"].preprocessing.words == (
        "64x64 pixels (opencv-linear), 1 channel, grey value / 127.5 - 1, NHWC"
    )
    assert (
        "(grey value / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]" in PRESETS["hsemotion"].preprocessing.words
    )


def test_chance_is_what_always_giving_one_label_reaches() -> None:
    figures = ValidationFigures(
        source="a", fingerprint="b", faces=100, accuracy=0.4, interval=(0.31, 0.5), constant=0.3
    )
    assert figures.is_above_chance
    assert not replace(figures, constant=0.31).is_above_chance


def test_a_declaration_from_a_file_is_held_to_the_same_bounds() -> None:
    text = '{"size": 64, "mean": [0.5, 0.5], "channels": 3}'
    with pytest.raises(InputError, match="mean has 2 values"):
        parse_document(Preprocessing, text, "a.json", "mend it")
    with pytest.raises(InputError, match="size is 4096"):
        parse_document(Preprocessing, '{"size": 4096}', "a.json", "mend it")


# --- a foreign graph


def old_network() -> onnx.ModelProto:
    """Opset 7: a broadcast of old, a dropout with two outputs, an output that nobody wants, a stranger's names."""
    nodes = [
        helper.make_node("Flatten", ["x\x1b[31m"], ["flat"], "n\x1b"),
        helper.make_node("Dropout", ["flat"], ["kept", "mask"]),
        helper.make_node("MatMul", ["kept", "w"], ["scores"]),
        helper.make_node("Exp", ["kept"], ["unwanted"]),
    ]
    weights = [numpy_helper.from_array(np.eye(64, 7, dtype=np.float32), "w")]
    graph = helper.make_graph(
        nodes,
        "old",
        [
            helper.make_tensor_value_info("x\x1b[31m", TensorProto.FLOAT, [1, 1, 8, 8]),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [64, 7]),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 7]) for name in ("scores", "unwanted")],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 7)], ir_version=3)


def test_an_old_graph_comes_to_the_contract_s_opset_without_its_names() -> None:
    network = foreign_network(old_network().SerializeToString(), "scores", (1, 8, 8), None)
    assert network.opset_import[0].version == 18
    assert [node.op_type for node in network.graph.node] == ["Flatten", "Identity", "MatMul", "Identity"]
    assert "\x1b" not in str(network)
    faces = np.random.default_rng(0).random((5, 1, 8, 8), np.float32)
    session = open_session(network.SerializeToString(), "network", CPU, 1)
    np.testing.assert_array_equal(session.run([OUTPUT], {INPUT: faces})[0], faces.reshape(5, -1)[:, :7])


@pytest.mark.parametrize("sides", [[1, 64], [1, -1], [1, 8, -1]])
def test_a_fixed_batch_is_freed_as_torch_writes_it(sides: list[int]) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "sides"], ["view"], allowzero=1),
        helper.make_node("Flatten", ["view"], ["y"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "fixed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
        [numpy_helper.from_array(np.array(sides), "sides")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    network = foreign_network(model.SerializeToString(), "y", (1, 8, 8), None)
    faces = np.random.default_rng(0).random((5, 1, 8, 8), np.float32)
    session = open_session(network.SerializeToString(), "network", CPU, 1)
    np.testing.assert_array_equal(session.run([OUTPUT], {INPUT: faces})[0], faces.reshape(5, -1))


def test_no_operator_that_loops_branches_or_makes_much_of_little_is_taken() -> None:
    never = {"Loop", "If", "Scan", "SequenceMap", "Expand", "Tile", "ConstantOfShape", "Range", "RandomNormal"}
    assert not never & OPERATORS[""]
    assert set(OPERATORS) == {""}
