"""Files that somebody else has made: what is not ours is refused at once, with a sentence, and holds nobody up."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from data.errors import InputError
from demo.state.shelf import ALL, Shelf
from export.canonical import canonical
from export.contract import seal, wrap
from export.quantize import Quantizer, half
from inference.engine import Engine, read_artifact
from inference.manifest import Manifest
from inference.operators import ADOPTED, ADOPTING, OPERATORS, check_operators
from inference.wire import MOST_FIELDS, Contents, contents, with_input_shape
from training.specs import MODELS
from training.weights import initial_weights

SHIPPED = sorted((Path(__file__).parents[1] / "artifacts" / "models").glob("*.onnx"))
FACES = np.random.default_rng(0).integers(0, 256, (70, 48, 48), dtype=np.uint8)


# --- what a file is made of


def nodes_of(model: onnx.ModelProto) -> set[tuple[str, str]]:
    """Domain and type of every node, by the onnx package; the same question as `inference.wire` answers."""
    pending: list[object] = [model.graph, *model.functions]
    for training in model.training_info:
        pending += [training.initialization, training.algorithm]
    attributes = [attribute for function in model.functions for attribute in function.attribute_proto]
    operators = set()
    while pending or attributes:
        while attributes:
            attribute = attributes.pop()
            pending += [attribute.g, *attribute.graphs]
        for node in pending.pop().node:  # type: ignore[attr-defined]
            operators.add(("" if node.domain == "ai.onnx" else node.domain, node.op_type))
            attributes += node.attribute
    return operators


names = st.text(st.characters(codec="utf-8"), max_size=4)
nodes: st.SearchStrategy[onnx.NodeProto] = st.deferred(
    lambda: st.builds(
        onnx.NodeProto,
        op_type=st.sampled_from(["Conv", "Loop", "If", "Relu"]) | names,
        domain=st.sampled_from(["", "ai.onnx", "com.microsoft"]) | names,
        name=names,
        input=st.lists(names, max_size=2),
        attribute=st.lists(attributes, max_size=2),
    )
)
graphs: st.SearchStrategy[onnx.GraphProto] = st.deferred(
    lambda: st.builds(
        onnx.GraphProto, name=names, node=st.lists(nodes, max_size=3), initializer=st.lists(tensors, max_size=2)
    )
)
tensors: st.SearchStrategy[onnx.TensorProto] = st.builds(
    onnx.TensorProto,
    name=names,
    raw_data=st.binary(max_size=30),
    dims=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
    float_data=st.lists(st.floats(width=32), max_size=3),
)
attributes: st.SearchStrategy[onnx.AttributeProto] = st.builds(
    onnx.AttributeProto,
    name=names,
    f=st.floats(width=32),
    i=st.integers(-(2**63), 2**63 - 1),
    s=st.binary(max_size=8),
    t=tensors,
    g=graphs | st.none(),
    graphs=st.lists(graphs, max_size=1),
    ints=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
)
functions = st.builds(
    onnx.FunctionProto,
    name=names,
    node=st.lists(nodes, max_size=2),
    attribute_proto=st.lists(attributes, max_size=1),
)
models = st.builds(
    onnx.ModelProto,
    ir_version=st.integers(0, 20),
    graph=graphs,
    functions=st.lists(functions, max_size=1),
    training_info=st.lists(st.builds(onnx.TrainingInfoProto, initialization=graphs, algorithm=graphs), max_size=1),
)


@given(st.binary(max_size=8), st.integers(0, 2**63 - 1), st.lists(st.integers(1, 2**63 - 1), max_size=3))
def test_another_input_shape_changes_nothing_but_shapes(raw: bytes, version: int, sides: list[int]) -> None:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"]), onnx.helper.make_node("Relu", ["y"], ["z"])],
        "graph",
        [
            onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, sides),
            onnx.helper.make_tensor_value_info("unused", onnx.TensorProto.INT8, [len(raw)]),
        ],
        [onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, sides)],
        [onnx.helper.make_tensor("unused", onnx.TensorProto.INT8, [len(raw)], raw, raw=True)],
        value_info=[onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, sides)],
    )
    model = onnx.helper.make_model(graph, model_version=version)
    changed = onnx.load_from_string(with_input_shape(model.SerializeToString(), (1, 300, "height"), "model.onnx"))
    shape = changed.graph.input[0].type.tensor_type.shape
    assert [side.dim_param or side.dim_value for side in shape.dim] == [1, 300, "height"]
    shape.CopyFrom(graph.input[0].type.tensor_type.shape)
    assert not changed.graph.value_info
    assert not changed.graph.output[0].type.tensor_type.HasField("shape")
    model.graph.ClearField("value_info")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert changed == model


@given(models)
def test_the_same_operators_are_seen_as_by_the_onnx_package(model: onnx.ModelProto) -> None:
    held = contents(model.SerializeToString(), "x.onnx")
    assert held == Contents(frozenset(nodes_of(model)), len(model.functions), external=False)


@settings(max_examples=300)
@given(models, st.data())
def test_damaged_bytes_are_refused_or_seen_as_the_onnx_package_sees_them(
    model: onnx.ModelProto, data: st.DataObject
) -> None:
    content = bytearray(model.SerializeToString())
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(0, len(content)))])
    check_agrees(damaged)


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_random_bytes_are_refused_or_seen_as_the_onnx_package_sees_them(content: bytes) -> None:
    check_agrees(content)


def check_agrees(content: bytes) -> None:
    """Whatever the onnx package takes is refused, or has the same operators, or more of them."""
    try:
        held = contents(content, "x.onnx")
    except InputError:
        return
    try:
        model = onnx.load_from_string(content)
        expected = nodes_of(model)
    except Exception:  # what onnx refuses, onnxruntime refuses as well
        return
    # Of text that is no UTF-8 the onnx package gives the bytes.
    said = {tuple(_text(word) for word in node) for node in expected}
    assert held.operators == said


def _text(word: str | bytes) -> str:
    return word.decode(errors="replace") if isinstance(word, bytes) else word


def test_messages_that_come_in_pieces_are_seen_whole() -> None:
    """protobuf merges a field that comes twice: a second graph adds its nodes to the first one's."""
    first, second = (
        onnx.ModelProto(graph=onnx.GraphProto(node=[helper.make_node(kind, ["x"], ["y"])])) for kind in ("Relu", "Loop")
    )
    content = first.SerializeToString() + second.SerializeToString()
    assert contents(content, "x").operators == nodes_of(onnx.load_from_string(content)) == {("", "Relu"), ("", "Loop")}


@pytest.mark.parametrize("place", ["initializer", "attribute", "nested", "sparse"])
def test_weights_in_another_file_are_seen_wherever_they_are(place: str) -> None:
    tensor = onnx.TensorProto(name="w", data_location=TensorProto.EXTERNAL)
    if place == "initializer":
        graph = onnx.GraphProto(initializer=[tensor])
    elif place == "sparse":
        graph = onnx.GraphProto(sparse_initializer=[onnx.SparseTensorProto(values=tensor)])
    else:
        graph = onnx.GraphProto(node=[onnx.NodeProto(attribute=[onnx.AttributeProto(t=tensor)])])
    if place == "nested":
        graph = onnx.GraphProto(node=[onnx.NodeProto(attribute=[onnx.AttributeProto(g=graph)])])
    assert contents(onnx.ModelProto(graph=graph).SerializeToString(), "x").external
    tensor.ClearField("data_location")
    tensor.external_data.add(key="location", value="/etc/passwd")
    assert contents(onnx.ModelProto(graph=onnx.GraphProto(initializer=[tensor])).SerializeToString(), "x").external


def test_nesting_without_end_and_parts_without_end_are_no_trouble() -> None:
    content = b""
    for _ in range(2000):
        attribute = _field(6, content)
        content = _field(1, _field(4, b"If") + _field(5, attribute))
    assert contents(_field(7, content), "x").operators == {("", "If")}
    began = time.perf_counter()
    with pytest.raises(InputError, match=r"x\.onnx has more than 1,000,000 parts"):
        contents(_field(7, _field(1, b"") * (MOST_FIELDS + 1)), "x.onnx")
    assert time.perf_counter() - began < 60


def _field(number: int, content: bytes) -> bytes:
    length, size = b"", len(content)
    while True:
        length += bytes([size & 0x7F | (0x80 if size > 0x7F else 0)])
        size >>= 7
        if not size:
            return bytes([number << 3 | 2]) + length + content


# --- which operators are taken


@pytest.mark.slow
def test_the_list_of_operators_is_what_all_models_in_all_precisions_need(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")
    pytest.importorskip("onnxscript", reason="exporting needs ferox[export]")
    from export.from_torch import convert
    from training.torch.model import build, set_weights

    needed: set[tuple[str, str]] = set()
    for spec in MODELS.values():
        model = build(spec)
        set_weights(model, initial_weights(spec, 0))
        convert(model, tmp_path / "network.onnx")
        network = canonical(onnx.load(tmp_path / "network.onnx"))
        lowered = Quantizer.calibrated(wrap(network), FACES[:4]).quantized()
        for graph in (wrap(network), wrap(half(network)), lowered):
            content = graph.SerializeToString()
            check_operators(content, spec.name)
            needed |= contents(content, spec.name).operators
    own = OPERATORS[""] - ((ADOPTING | ADOPTED) - {operator for _, operator in needed})
    assert needed == {("", operator) for operator in own}
    assert set(OPERATORS) == {""}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_what_is_shipped_is_made_of_them(path: Path) -> None:
    held = contents(path.read_bytes(), path.name)
    assert held.operators == nodes_of(onnx.load(path))
    engine = Engine.load(path, provider="cpu", threads=1)
    assert engine.predict(FACES).shape == (70, 7)


def looping() -> onnx.ModelProto:
    """A graph whose loop counts on while a condition holds that always does."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
    )
    return strange(helper.make_node("Loop", ["", "true"], [], body=body))


def branching() -> onnx.ModelProto:
    branches = {
        name: helper.make_graph(
            [helper.make_node("Constant", [], [name], value_float=1.0)],
            name,
            [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [])],
        )
        for name in ("then_branch", "else_branch")
    }
    return strange(helper.make_node("If", ["true"], ["either"], **branches))


def strange(node: onnx.NodeProto, domain: str = "") -> onnx.ModelProto:
    model = wrap(linear())
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "true"))
    model.graph.node.append(node)
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    return model


def function() -> onnx.ModelProto:
    model = strange(helper.make_node("Mine", ["logits"], ["again"], domain="mine"), "mine")
    relu = helper.make_node("Relu", ["a"], ["b"])
    model.functions.append(helper.make_function("mine", "Mine", ["a"], ["b"], [relu], [helper.make_opsetid("", 18)]))
    return model


def external() -> onnx.ModelProto:
    model = wrap(linear())
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights.bin")
    return model


def linear() -> onnx.ModelProto:
    weight = np.random.default_rng(0).normal(0, 0.05, (2304, 7)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("Gemm", ["flat", "weight"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 48, 48])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 7])],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


HOSTILE: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "a loop without end": (looping, "uses Loop, which no model here needs"),
    "a branch": (branching, "uses Constant, If, which no model here needs"),
    "a scan": (lambda: strange(helper.make_node("Scan", ["logits"], ["s"], num_scan_inputs=1)), "uses Scan"),
    "a function": (function, "defines 1 functions of its own"),
    "another domain": (
        lambda: strange(helper.make_node("Gelu", ["logits"], ["g"], domain="com.microsoft"), "com.microsoft"),
        r"uses com\.microsoft\.Gelu",
    ),
    "our operator in another domain": (
        lambda: strange(helper.make_node("Conv", ["logits"], ["g"], domain="mine"), "mine"),
        r"uses mine\.Conv",
    ),
    "weights elsewhere": (external, "keeps weights in another file"),
    "a name that steers terminals": (
        lambda: strange(helper.make_node("\x1b[2J", ["logits"], ["g"])),
        r"uses \?\[2J, which",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_graph_is_refused_before_it_runs(kind: str, tiny_manifest: Manifest, tmp_path: Path) -> None:
    make, sentence = HOSTILE[kind]
    path = tmp_path / "hostile.onnx"
    path.write_bytes(seal(make(), tiny_manifest))
    with pytest.raises(InputError, match=sentence):
        Engine.load(path, provider="cpu", threads=1)


# --- what is no file of ours


def pipe(path: Path) -> None:
    os.mkfifo(path)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(30 << 30)


STRANGE_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (pipe, "is no ordinary file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is no ordinary file"),
    "folder": (Path.mkdir, "is no ordinary file"),
    "30 GB of nothing": (sparse, "has 30,720 MB, expected an exported .onnx of at most 512"),
    "empty": (Path.touch, "carries no digest"),
    "gone": (lambda path: path.symlink_to("nowhere"), "cannot be read"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", STRANGE_FILES)
def test_what_is_no_ordinary_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    make, sentence = STRANGE_FILES[kind]
    make(tmp_path / "strange.onnx")
    with pytest.raises(InputError, match=sentence):
        Engine.load(tmp_path / "strange.onnx", provider="cpu", threads=1)


@pytest.mark.timeout(60)
def test_strange_files_do_not_keep_a_shelf_from_its_models(tiny_model: Path, tmp_path: Path) -> None:
    for number, (make, _) in enumerate(STRANGE_FILES.values()):
        make(tmp_path / f"strange_{number}.onnx")
    (tmp_path / "mlp_1.onnx").write_bytes(tiny_model.read_bytes())
    usable, refused = Shelf(tmp_path).engines(ALL)
    assert [engine.path.stem for engine in usable] == ["mlp_1"]
    assert len(refused) == len(STRANGE_FILES)


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x" * 1000)
    assert read_artifact(tmp_path / "x") == b"x" * 1000


# --- one slow file


@pytest.mark.timeout(60)
def test_a_file_that_is_still_read_holds_up_only_who_asks_for_it(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("slow", "quick"):
        (tmp_path / f"{name}.onnx").write_bytes(tiny_model.read_bytes())
    shelf, load = Shelf(tmp_path), Engine.load
    begun, go_on, loads = threading.Event(), threading.Event(), []

    def slowly(path: Path) -> Engine:
        loads.append(path.stem)
        if path.stem == "slow":
            begun.set()
            assert go_on.wait(30)
        return load(path, provider="cpu", threads=1)

    monkeypatch.setattr(Engine, "load", slowly)
    answers: list[Engine] = []
    waiting = [threading.Thread(target=lambda: answers.append(shelf.engine("slow"))) for _ in range(3)]
    for thread in waiting:
        thread.start()
    assert begun.wait(30)
    assert shelf.engine("quick").path.stem == "quick"
    assert not answers
    go_on.set()
    for thread in waiting:
        thread.join(30)
    assert len(answers) == 3
    assert len(set(map(id, answers))) == 1
    assert loads == ["slow", "quick"]


def test_a_file_that_was_refused_is_looked_at_again(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "mlp_1.onnx"
    content = tiny_model.read_bytes()
    path.write_bytes(b"x" * len(content))
    status = path.stat()
    shelf = Shelf(tmp_path)
    with pytest.raises(InputError, match="carries no digest"):
        shelf.engine("mlp_1")
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert shelf.engine("mlp_1").path == path


# --- answers that are none


def one_row() -> onnx.ModelProto:
    """A graph that has one answer, however many faces it is asked about."""
    model = wrap(linear())
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 7), np.float32), "answer"))
    for node in model.graph.node:
        if node.name == "contract_logits":
            node.input[0] = "answer"
        if node.name == "contract_temper":
            node.input[0] = "logits"
    return model


def three_only() -> onnx.ModelProto:
    """A graph that onnxruntime stops in, for it adds three rows to 64."""
    model = wrap(linear())
    model.graph.initializer.append(numpy_helper.from_array(np.ones((3, 7), np.float32), "three"))
    (logits,) = (node for node in model.graph.node if node.name == "contract_logits")
    logits.CopyFrom(helper.make_node("Add", [logits.input[0], "three"], ["logits"], "contract_logits"))
    return model


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (one_row, r"hostile\.onnx gives logits float32\[1, 7\] for 64 faces, expected float32\[64, 7\]"),
        (three_only, r"hostile\.onnx stopped while it answered 64 faces \(.*\); export the run again"),
    ],
    ids=["one row for all", "an error as it runs"],
)
def test_an_answer_that_is_not_one_for_each_face_is_refused(
    make: Callable[[], onnx.ModelProto], sentence: str, tiny_manifest: Manifest, tmp_path: Path
) -> None:
    path = tmp_path / "hostile.onnx"
    path.write_bytes(seal(make(), tiny_manifest))
    engine = Engine.load(path, provider="cpu", threads=1)
    with pytest.raises(InputError, match=sentence):
        engine.run(FACES)


def test_the_engine_needs_no_onnx_package(tiny_model: Path) -> None:
    program = (
        "import sys; sys.modules['onnx'] = None\n"
        "from pathlib import Path; from inference.engine import Engine\n"
        "print(Engine.load(Path(sys.argv[1]), provider='cpu').manifest.model)"
    )
    command = [sys.executable, "-c", program, str(tiny_model)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "mlp_1\n"), done.stderr
