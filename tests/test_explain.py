"""What models looked at: maps point to what answers depend on, and add up; curves; the command; Python."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import ferox
from data.documents import parse_document
from data.errors import InputError
from data.faceset import LABELS, SIDE, FaceSet
from demo.examples import draw_examples
from export import conversion
from export.contract import network_bytes, seal, wrap
from export.job import ExportJob, Form
from export.publish import publish
from export.quantize import half
from export.worker import Worker
from inference.__main__ import METHODS as OFFERED
from inference.catalogue import DEFAULT, find_model
from inference.engine import Engine
from inference.graph import nodes, weights, with_output
from inference.manifest import FEATURES, Manifest, parse_manifest
from inference.measure.evaluation import assign
from inference.report.class_maps import FACES_A_CLASS, ClassMapsRecord, class_maps
from inference.report.writer import write_report
from inference.saliency import activation, faithfulness
from inference.saliency.activation import activation_maps
from inference.saliency.document import PictureExplanation
from inference.saliency.explaining import METHODS, explainer
from inference.saliency.heat import AGAINST, FOR, overlay, peak
from inference.saliency.occlusion import GRID, MASKS, covered, design, effects, enlarged
from training.run import read_record, write_record

ROOT = Path(__file__).parents[1]
PLACES, STRIDE, CHANNELS = 4, 12, 3
# Where the faces here are bright, and what a bright place speaks for.
REGION = (slice(12, 24), slice(36, 48))
HAPPY, SAD = LABELS.index("happy"), LABELS.index("sad")

Faces = NDArray[np.uint8]


def pooled_network() -> onnx.ModelProto:
    """One convolution over 4 x 4 places, their mean, a dense layer: light speaks for happy, dark for sad."""
    kernel = np.stack([np.full((1, STRIDE, STRIDE), scale / STRIDE**2) for scale in (1, -1, 0.5)]).astype(np.float32)
    dense = np.random.default_rng(0).normal(0, 0.01, (7, CHANNELS)).astype(np.float32)
    dense[HAPPY, 0] = dense[SAD, 1] = 40
    held = {
        "conv_1.weight": kernel,
        "conv_1.bias": np.zeros(CHANNELS, np.float32),
        "dense_1.weight": dense,
        "dense_1.bias": np.linspace(-1, 1, 7, dtype=np.float32),
    }
    window: dict[str, Any] = {"kernel_shape": [STRIDE] * 2, "strides": [STRIDE] * 2}
    steps = [
        helper.make_node("Conv", ["x", "conv_1.weight", "conv_1.bias"], ["conv_1"], "conv_1", **window),
        helper.make_node("Relu", ["conv_1"], ["relu_1"], "relu_1"),
        helper.make_node("GlobalAveragePool", ["relu_1"], ["pool_1"], "pool_1"),
        helper.make_node("Flatten", ["pool_1"], ["dense_1.flat"], "dense_1.flatten", axis=1),
        helper.make_node("Gemm", ["dense_1.flat", "dense_1.weight", "dense_1.bias"], ["dense_1"], "dense_1", transB=1),
    ]
    graph = helper.make_graph(
        steps,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("dense_1", TensorProto.FLOAT, ["batch", 7])],
        [numpy_helper.from_array(values, name) for name, values in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


@pytest.fixture(scope="module")
def sealed(tiny_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Engine]:
    """Seals and loads a network, with what its manifest is to say otherwise."""

    def made(network: onnx.ModelProto, **changes: object) -> Engine:
        path = tmp_path_factory.mktemp("explained") / "vgg_32.torch.best-official.onnx"
        path.write_bytes(seal(wrap(network), replace(tiny_manifest, **changes)))  # type: ignore[arg-type]
        return Engine.load(path, provider="cpu", threads=1)

    return made


@pytest.fixture(scope="module")
def pooled(sealed: Callable[..., Engine]) -> Engine:
    return sealed(pooled_network())


@pytest.fixture(scope="module")
def bright() -> Faces:
    """A face that is grey, but for a bright region."""
    face = np.full((1, SIDE, SIDE), 127, np.uint8)
    face[0][REGION] = 255
    return face


@pytest.fixture(scope="module")
def noise() -> Faces:
    return np.random.default_rng(1).integers(0, 256, (5, SIDE, SIDE), dtype=np.uint8)


def inside(values: NDArray[np.float32]) -> bool:
    """Whether a map's highest place lies in the region."""
    row, column = np.unravel_index(values.argmax(), values.shape)
    rows, columns = REGION
    return bool(rows.start <= row < rows.stop and columns.start <= column < columns.stop)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_points_to_what_the_answer_depends_on(pooled: Engine, bright: Faces, method: str) -> None:
    assert pooled.predict(bright).argmax() == HAPPY
    values = enlarged(explainer(pooled, method).cells(bright)[0, HAPPY])
    assert inside(values)
    # What it depends on, and hardly anything beside it.
    assert values[REGION].mean() > 10 * np.abs(np.delete(values, slice(24, SIDE), axis=1)).mean()


def test_covering_finds_the_pixels_that_a_network_has_weights_for(
    linear_network: onnx.ModelProto, sealed: Callable[..., Engine], noise: Faces
) -> None:
    held = np.zeros((SIDE, SIDE, 7), np.float32)
    held[(*REGION, HAPPY)] = 1 / 3
    network = onnx.ModelProto()
    network.CopyFrom(linear_network)
    network.graph.initializer[0].CopyFrom(numpy_helper.from_array(held.reshape(-1, 7), "weight"))
    faces = noise // 4
    faces[(slice(None), *REGION)] += 150
    cells = effects(sealed(network), faces)
    assert cells.shape == (len(faces), 7, GRID, GRID)
    assert all(inside(enlarged(face[HAPPY])) for face in cells)
    # Probabilities are shared out: what one answer gains the others lose.
    assert np.abs(cells.sum(axis=1)).max() < 1e-5


def test_every_cell_is_covered_as_often_as_shown_and_apart_from_every_other() -> None:
    shown = design().reshape(MASKS, -1)
    assert (shown.sum(axis=0) == MASKS // 2).all()
    signs = np.where(shown, 1, -1)
    assert (signs.T @ signs == MASKS * np.eye(GRID * GRID)).all()


def test_what_is_covered_is_the_face_s_mean_grey(noise: Faces) -> None:
    faces = covered(noise[0])
    assert (faces[design()[:, 3, 3], 24, 24] == noise[0, 24, 24]).all()
    assert (faces[~design()[:, 3, 3], 24, 24] == round(float(noise[0].mean()))).all()


@pytest.mark.parametrize("form", ["fp32", "fp16", "features", "batch", "both"])
def test_a_logit_is_the_mean_of_its_class_activation_map_and_the_bias(
    sealed: Callable[..., Engine], noise: Faces, form: str
) -> None:
    network = half(pooled_network()) if form == "fp16" else pooled_network()
    engine = sealed(network, batch=2 if form in ("batch", "both") else None, features=form in ("features", "both"))
    maps = activation_maps(engine)
    places = maps.contributions(noise)
    assert places.shape == (len(noise), 7, PLACES, PLACES)
    assert places.mean(axis=(2, 3)) + maps.bias == pytest.approx(engine.run(noise)[0], abs=1e-5)


@pytest.mark.parametrize("name", ["vgg_32", "cnn_1.torch", "resnet_18_48"])
def test_models_that_come_along_have_maps_as_they_end(name: str, noise: Faces) -> None:
    engine = Engine.load(find_model(name), provider="cpu", threads=1)
    cells = explainer(engine).cells(noise[:1])
    assert cells.shape == (1, 7, GRID, GRID)
    assert np.abs(cells).max() <= 1
    if name == "cnn_1.torch":
        with pytest.raises(InputError, match="has no class activation maps: expected a network that ends in a global"):
            explainer(engine, "cam")
        return
    maps = activation_maps(engine)
    # int8 leaves the pool and the last layer in float32, so that nothing is rounded in between.
    assert maps.contributions(noise).mean(axis=(2, 3)) + maps.bias == pytest.approx(engine.run(noise)[0], abs=1e-4)
    features, logits = maps.session.run([maps.features, "logits"], {"pixels": noise})
    assert features.shape == (5, {"vgg_32": 256, "resnet_18_48": 512}[name], 6, 6)
    assert np.array_equal(logits, engine.run(noise)[0])


def test_features_are_an_output_that_changes_nothing_else(sealed: Callable[..., Engine], noise: Faces) -> None:
    plain, giving = sealed(pooled_network()), sealed(pooled_network(), features=True)
    assert np.array_equal(plain.run(noise)[0], giving.run(noise)[0])
    outputs = [(value.name, value.shape) for value in giving.session.get_outputs()]
    assert outputs[2:] == [(FEATURES, ["batch", CHANNELS, PLACES, PLACES])]
    (features,) = giving.session.run([FEATURES], {"pixels": noise})
    assert features.shape == (5, CHANNELS, PLACES, PLACES)
    # The manifest says so, and one without says nothing that older engines would not know.
    assert parse_manifest(giving.manifest.to_json(), "x").features
    assert '"features"' not in plain.manifest.to_json()
    assert not parse_manifest(plain.manifest.to_json(), "x").features
    assert explainer(giving, "cam").cells(noise) == pytest.approx(explainer(plain, "cam").cells(noise), abs=1e-6)
    # Twins with features are the same bytes, too.
    again = sealed(pooled_network(), features=True, framework="paddle")
    assert network_bytes(again.path.read_bytes()) == network_bytes(giving.path.read_bytes())


def test_the_int8_model_that_comes_along_can_give_its_features(tmp_path: Path, noise: Faces) -> None:
    engine = Engine.load(find_model("vgg_32"), provider="cpu", threads=1)
    path = tmp_path / f"{DEFAULT}.features.onnx"
    path.write_bytes(seal(onnx.load(engine.path), replace(engine.manifest, features=True)))
    onnx.checker.check_model(path, full_check=True)
    giving = Engine.load(path, provider="cpu", threads=1)
    assert [value.shape for value in giving.session.get_outputs()][2] == ["batch", 256, 6, 6]
    assert np.array_equal(giving.run(noise)[0], engine.run(noise)[0])


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_an_export_with_features_is_proven_named_and_described_as_what_it_is(
    linear_run: Path, noise: Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    record = read_record(linear_run)
    write_record(linear_run, replace(record, settings=replace(record.settings, model="vgg_32")))
    network = pooled_network()

    def converted(job: ExportJob, work: Path, worker: Worker) -> None:
        place = tmp_path / "plain.onnx"
        place.write_bytes(wrap(network).SerializeToString())
        session = onnxruntime.InferenceSession(place, providers=["CPUExecutionProvider"])
        np.save(work / "reference.npy", session.run(["logits"], {"pixels": np.load(work / "pixels.npy")})[0])
        onnx.save(network, work / "network.onnx")

    monkeypatch.setattr(conversion, "run_framework", converted)
    # What tells the drawn faces apart is not asked of a network that knows light and dark alone.
    monkeypatch.setattr("export.parity.LEAST_CLASSES", 1)
    path = publish(linear_run, None, tmp_path / "models", precision, form=Form(features=True))
    assert path.stem.endswith(".features" if precision == "fp32" else f".{precision}.features")
    engine = Engine.load(path, provider="cpu", threads=1)
    assert engine.manifest.features
    assert "| features | the output `features` is" in path.with_suffix(".md").read_text()
    assert engine.session.get_modelmeta().custom_metadata_map["description"].endswith("; gives its features, too")
    maps = activation_maps(engine)
    assert maps.features == FEATURES
    assert maps.contributions(noise).mean(axis=(2, 3)) + maps.bias == pytest.approx(engine.run(noise)[0], abs=1e-4)


def test_features_are_refused_of_a_model_that_has_none(linear_run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--features is for networks that end in a global average pool \(resnet_18, "):
        publish(linear_run, None, tmp_path, form=Form(features=True))


def test_a_network_without_a_pool_has_no_features(
    linear_network: onnx.ModelProto, sealed: Callable[..., Engine]
) -> None:
    with pytest.raises(InputError, match="does not end in a global average pool and a dense layer"):
        sealed(linear_network, features=True)


def test_a_manifest_that_promises_features_must_have_them(
    pooled: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.contract._give_features", lambda model: None)
    path = tmp_path / "promised.onnx"
    path.write_bytes(seal(wrap(pooled_network()), replace(pooled.manifest, features=True)))
    with pytest.raises(InputError, match=r"expected float32 logits and probabilities .* and features"):
        Engine.load(path, provider="cpu", threads=1)


def test_a_file_that_changed_since_it_was_loaded_is_not_explained(
    sealed: Callable[..., Engine], tiny_manifest: Manifest
) -> None:
    engine = sealed(pooled_network())
    engine.path.write_bytes(seal(wrap(pooled_network()), replace(tiny_manifest, created="2026-01-02T00:00:00+00:00")))
    with pytest.raises(InputError, match="has changed since it was loaded; load it again"):
        explainer(engine, "cam")


def test_maps_that_do_not_add_up_are_refused(
    sealed: Callable[..., Engine], noise: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = pooled_network()
    network.graph.node[-1].attribute.append(helper.make_attribute("alpha", 0.5))
    with pytest.raises(InputError, match="answers otherwise than its features and weights say"):
        activation_maps(sealed(network)).contributions(noise)
    monkeypatch.setattr(activation, "weights", lambda *_: dict.fromkeys(("dense_1.weight", "dense_1.bias"), np.ones(7)))
    with pytest.raises(InputError, match="ends in a dense layer of other answers than its own"):
        activation_maps(sealed(pooled_network()))


def test_a_graph_is_read_off_its_bytes(pooled: Engine) -> None:
    content = pooled.path.read_bytes()
    model = onnx.load_from_string(content)
    found = [(node.operator, node.inputs, node.outputs) for node in nodes(content, "x")]
    assert found == [(node.op_type, tuple(node.input), tuple(node.output)) for node in model.graph.node]
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            read = weights(content, [tensor.name], "x")[tensor.name]
            assert np.array_equal(read, numpy_helper.to_array(tensor))
    name = "v" * 300  # Longer than one byte of a length can say.
    assert [value.name for value in onnx.load_from_string(with_output(content, name)).graph.output][2] == name


def test_weights_that_are_missing_or_no_floats_are_refused(pooled: Engine) -> None:
    content = pooled.path.read_bytes()
    with pytest.raises(InputError, match=r"x has no weights dense_9\.weight; export the run again"):
        weights(content, ["dense_9.weight"], "x")
    with pytest.raises(InputError, match="x keeps contract_axis otherwise than artifacts do"):
        weights(content, ["contract_axis"], "x")


def test_an_unknown_method_is_refused(pooled: Engine) -> None:
    with pytest.raises(InputError, match="the method is 'lime', expected occlusion or cam"):
        explainer(pooled, "lime")


def test_heat_is_red_for_an_answer_and_blue_against_it_and_leaves_the_rest_alone() -> None:
    crop, values = np.full((SIDE, SIDE), 128, np.uint8), np.zeros((SIDE, SIDE), np.float32)
    values[:16], values[32:] = 2, -1
    heat = overlay(crop, values, SIDE).astype(int)
    assert peak(values) == 2
    assert np.abs(heat[4, 24] - FOR).max() < np.abs(heat[4, 24] - AGAINST).max()
    assert np.abs(heat[44, 24] - AGAINST).max() < np.abs(heat[44, 24] - FOR).max()
    assert (heat[24, 24] == 128).all()
    # A map of nothing is the face.
    assert (overlay(crop, np.zeros_like(values), SIDE) == 128).all()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_an_area_lies_between_the_lowest_and_the_highest_point(curve: list[float]) -> None:
    (found,) = faithfulness.area(np.array([curve]))
    assert min(curve) - 1e-9 <= found <= max(curve) + 1e-9
    (turned,) = faithfulness.area(np.array([curve[::-1]]))
    assert found == pytest.approx(turned)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(2, 40))
def test_the_area_under_a_straight_line_is_its_middle(first: float, last: float, points: int) -> None:
    (found,) = faithfulness.area(np.linspace(first, last, points)[None])
    assert found == pytest.approx((first + last) / 2)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_ranks_are_a_map_s_order(seed: int, levels: int) -> None:
    maps = np.random.default_rng(seed).integers(0, levels, (1, SIDE, SIDE)).astype(np.float32)
    order = faithfulness.ranks(maps)
    assert sorted(order.ravel()) == list(range(SIDE * SIDE))
    sorted_values = maps.ravel()[np.argsort(order.ravel())]
    assert (np.diff(sorted_values) <= 0).all()


def test_the_curves_of_a_right_map_are_better_than_those_of_a_wrong_one(pooled: Engine, bright: Faces) -> None:
    right = np.zeros((1, SIDE, SIDE), np.float32)
    right[(0, *REGION)] = 1
    answers = np.array([HAPPY])
    good, bad = (faithfulness.areas(pooled.predict, bright, answers, maps) for maps in (right, -right))
    assert good.deletion < bad.deletion
    assert good.insertion > bad.insertion
    # All covered and all shown are the ends of every curve.
    assert 0 <= good.deletion[0] <= 1
    assert faithfulness.random_maps(3, GRID, 0).shape == (3, SIDE, SIDE)


def test_a_report_can_show_what_a_model_looks_at_in_each_class(
    portraits: FaceSet, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    engine = Engine.load(artifacts["cnn_1.torch.published-official"], provider="cpu", threads=1)
    evaluation = assign(engine, portraits).evaluate(lambda _: None)
    found = class_maps(evaluation)
    labels = evaluation.answers.records["label"]
    for each in found.classes:
        assert each.right == (evaluation.correct & (labels == LABELS.index(each.label))).sum()
        assert each.faces == min(each.right, FACES_A_CLASS) > 0
        assert each.values.shape == each.crop.shape == (SIDE, SIDE)
    assert np.array_equal(found.classes[0].values, class_maps(evaluation).classes[0].values)
    folder = write_report(evaluation, tmp_path, found)
    record = parse_document(ClassMapsRecord, (folder / "maps.json").read_text(), "maps.json", "")
    assert [each.label for each in record.classes] == [each.label for each in found.classes]
    shown = (folder / "report.html").read_text()
    assert "What it looks at in each class" in shown
    assert f"{found.classes[0].faces} of {found.classes[0].right} right ones" in " ".join(shown.split())
    # What another evaluation has not asked for is not left behind.
    write_report(evaluation, tmp_path)
    assert not (folder / "maps.json").exists()
    assert "What it looks at in each class" not in (folder / "report.html").read_text()


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ferox", "explain", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    draw_examples(folder)
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def test_the_command_writes_a_picture_a_face_and_a_document_a_photo(photos: Path, tmp_path: Path) -> None:
    done = run(str(photos), "--method", "cam", "--out", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: 1 of 5 pictures could not be read"
    assert "nobody.jpg: no face found" in done.stderr
    written = [Path(line) for line in done.stdout.splitlines()]
    assert all(path.parent == tmp_path / DEFAULT for path in written)
    documents = [path for path in written if path.suffix == ".json"]
    assert len(documents) == 5
    by_photo = {path.name.partition(".")[0]: path for path in documents}
    group = parse_document(PictureExplanation, by_photo["group"].read_text(), "group", "")
    assert len(group.faces) == 4
    assert (group.method, group.error, group.model) == ("cam", None, f"{DEFAULT}.onnx")
    for number, face in enumerate(group.faces, 1):
        answer, runner_up = face.maps
        assert answer.label == face.label
        assert answer.probability == max(face.probabilities.values()) >= runner_up.probability
        assert np.shape(answer.values) == (SIDE, SIDE)
        with Image.open(by_photo["group"].with_name(f"group.cam.face-{number}.png")) as picture:
            assert picture.size[0] > 3 * 240
    assert json.loads(by_photo["broken"].read_text())["error"]
    assert not json.loads(by_photo["nobody"].read_text())["faces"]


def test_photos_of_one_name_do_not_take_each_other_s_place(photos: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\x1b[31m.png")
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        shutil.copy(photos / "crop.png", tmp_path / folder / name)
    done = run(str(tmp_path / "one"), str(tmp_path / "two"), "--model", "cnn_1.torch", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    documents = sorted((tmp_path / "out").glob("*/*.json"))
    assert [path.name for path in documents] == ["caf??[31m.occlusion.json", "caf??[31m~2.occlusion.json"]
    assert len({json.loads(path.read_text())["file"] for path in documents}) == 2
    assert len(list((tmp_path / "out").glob("*/*.png"))) == 2


def test_the_command_offers_the_methods_that_there_are() -> None:
    assert OFFERED == METHODS


def test_json_alone_writes_nothing_and_is_a_list(photos: Path) -> None:
    done = run(str(photos / "crop.png"), "--json", "--model", "cnn_1.torch")
    assert done.returncode == 0, done.stderr
    ((face,),) = [document["faces"] for document in json.loads(done.stdout)]
    assert np.abs(face["maps"][0]["values"]).max() <= 1


def test_python_gives_maps_with_the_faces(photos: Path) -> None:
    reader = ferox.load(threads=1)
    explained = reader.explain(photos / "group.jpg")
    assert [each.face.label for each in explained] == [face.label for face in reader.read(photos / "group.jpg")]
    for each in explained:
        (label, probability), (second, _) = each.face.ranking[:2]
        assert [found.label for found in each.maps] == [label, second]
        assert each.maps[0].probability == probability
        assert each.maps[0].values.shape == (SIDE, SIDE)
    assert reader.explain(photos / "nobody.jpg") == ()
