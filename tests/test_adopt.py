"""Models of others in our form: each preset with a tiny model of its signature, and what a gate has to refuse."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import ROOT, data_of, least_squares
from foreign_models import BODIES, Body, fitted, foreign_model
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from data.draw import write_csv
from data.errors import InputError
from data.faceset import LABELS, FaceSet, face_set
from data.splits import SplitPlan, split
from demo.examples import draw_examples
from demo.state.shelf import Shelf
from export.adopt import nodes, proving, publish, side
from export.adopt.declaration import Wish
from export.adopt.foreign import read_foreign
from export.adopt.proving import Target
from export.adopt.publish import adopt
from export.conversion import ExportError
from inference.adoption import Others, Preprocessing
from inference.comparison.ensembles import check_ensembles
from inference.comparison.summary import summary_table
from inference.engine import Engine
from inference.manifest import Manifest
from inference.measure.evaluation import assign
from inference.report.document import Report, in_tables
from inference.report.writer import report_of

LABELS_7 = ",".join(LABELS)


@pytest.fixture(scope="module")
def faces(portraits: FaceSet) -> FaceSet:
    """Drawn faces of which half are validation faces, so that chance and a poor model are told apart."""
    usages = np.array([0, 1, 1, 2], np.uint8)[np.arange(len(portraits)) % 4]
    return face_set(portraits.pixels, portraits.labels, usages, source="drawn")


@pytest.fixture(scope="module")
def table(faces: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faces") / "fer2013.csv"
    write_csv(faces, path)
    return path


@pytest.fixture(scope="module")
def foreign(faces: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the file of a preset's tiny model."""
    folder = tmp_path_factory.mktemp("foreign")

    def file(preset: str) -> Path:
        path = folder / f"{preset}.onnx"
        if not path.exists():
            onnx.save(foreign_model(preset, faces), path)
        return path

    return file


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the foreign model's side answer in this process, which spares seconds; others test it as it is."""

    def run(_module: str, work: str) -> None:
        monkeypatch.setattr("sys.argv", ["side", work])
        try:
            side.main()
        except InputError as error:
            raise ExportError("convert", f"error: {error}") from error

    monkeypatch.setattr(proving, "run_side", run)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("preset", BODIES)
def test_each_preset_s_signature_is_adopted_and_proven(
    preset: str, foreign: Callable[[str], Path], table: Path, faces: FaceSet, tmp_path: Path
) -> None:
    path = adopt(foreign(preset), Wish(preset=preset), table, Target(tmp_path))
    assert path == tmp_path / f"{preset}.adopted.onnx"
    engine = Engine.load(path, provider="cpu", threads=1)
    manifest, adoption = engine.manifest, engine.manifest.adoption
    assert adoption is not None
    assert (manifest.origin, manifest.framework, manifest.data, manifest.selection) == ("adopted", "onnx", None, None)
    assert manifest.checkpoint_sha256 == read_foreign(foreign(preset)).sha256
    division = split(faces, SplitPlan())
    assert manifest.parity.passed
    assert manifest.parity.faces == len(division.test)
    assert manifest.temperature.faces == len(division.validation)
    # Several at once, whatever batch the foreign file had.
    assert engine.run(faces.pixels[:5])[0].shape == (5, 7)
    assert adoption.validation is not None
    assert adoption.validation.is_above_chance
    answered = engine.predict(faces.pixels[division.validation]).argmax(axis=1)
    assert adoption.validation.accuracy == (answered == faces.labels[division.validation]).mean()
    onnx.checker.check_model(str(path), full_check=True)
    loaded = onnx.load(path)
    assert not [node for node in loaded.graph.node if node.op_type in ("Constant", "Dropout", "Loop", "If")]
    card = path.with_suffix(".md").read_text()
    assert "unknown; whoever adopted it says:" in card
    assert adoption.preprocessing.words in card


@pytest.fixture
def engines(
    foreign: Callable[[str], Path], table: Path, artifacts: dict[str, Path], tmp_path: Path, here: None
) -> list[Engine]:
    """A trained model and an adopted one."""
    wish = Wish(preset="deepface", trained_on="a b\x1b[31m")
    paths = [artifacts["cnn_1.torch.published-official"], adopt(foreign("deepface"), wish, table, Target(tmp_path))]
    return [Engine.load(path, provider="cpu", threads=1) for path in paths]


@pytest.fixture
def reports(engines: list[Engine], portraits: FaceSet) -> list[Report]:
    """Their reports, on the same faces."""
    return [report_of(assign(engine, portraits).evaluate(lambda _: None)) for engine in engines]


@pytest.mark.usefixtures("here")
def test_figures_of_an_adopted_model_stand_beside_others_and_say_that_its_training_is_unknown(
    reports: list[Report], portraits: FaceSet, tmp_path: Path
) -> None:
    shown = summary_table(reports)
    assert shown.count("official test part") == 1
    assert "adopted (trained on: a b?[31m, unchecked)" in shown
    notes = " ".join(reports[1].notes)
    assert "what it was trained on is unknown; whoever adopted it says: a b" in notes
    assert reports[1].evaluated_on.same_faces is None
    assert reports[1].abstention is not None
    adopted = Engine.load(tmp_path / "deepface.adopted.onnx", provider="cpu", threads=1)
    train = report_of(assign(adopted, portraits, "train").evaluate(lambda _: None))
    assert any("what it remembers" in note for note in train.notes)
    # Of nobody's data, it is measured on any.
    assert assign(adopted, portraits, "all").part == "all"


@pytest.mark.usefixtures("here")
def test_without_data_it_is_proven_on_drawn_faces_and_says_that_nobody_has_looked(
    foreign: Callable[[str], Path], tmp_path: Path, drawn: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "load", lambda path: drawn)
    engine = Engine.load(adopt(foreign("fer"), Wish(preset="fer"), None, Target(tmp_path)), provider="cpu", threads=1)
    assert engine.manifest.temperature.value == 1
    assert engine.manifest.adoption is not None
    assert engine.manifest.adoption.validation is None
    assert "adopted without data" in (tmp_path / "fer.adopted.md").read_text()


@pytest.mark.usefixtures("here")
def test_one_s_own_declaration_is_completed_by_the_file(
    foreign: Callable[[str], Path], table: Path, tmp_path: Path
) -> None:
    wish = Wish(divide_by=127.5, mean=(1.0,), names="Anger,disgust,fear,Happiness,sad,surprise,neutral")
    by_hand = Engine.load(adopt(foreign("fer"), wish, table, Target(tmp_path, "own")), provider="cpu", threads=1)
    by_preset = Engine.load(adopt(foreign("fer"), Wish(preset="fer"), table, Target(tmp_path)), provider="cpu")
    mine, known = by_hand.manifest.adoption, by_preset.manifest.adoption
    assert mine is not None
    assert known is not None
    assert replace(known, preset=None, trained_on=None) == mine
    assert mine.training_data == "unknown"
    assert sorted(Shelf(tmp_path).names()) == ["fer.adopted", "own.adopted"]


@pytest.mark.usefixtures("here")
def test_labels_beside_the_seven_are_dropped_or_kept_out(
    foreign: Callable[[str], Path], table: Path, faces: FaceSet, tmp_path: Path
) -> None:
    wish, file = Wish(preset="emotion-ferplus-8"), foreign("emotion-ferplus-8")
    kinds: tuple[Others, ...] = ("dropped", "kept-out")
    paths = [adopt(file, replace(wish, others=others), table, Target(tmp_path, others)) for others in kinds]
    dropped, kept_out = (Engine.load(path, provider="cpu", threads=1) for path in paths)
    logits, spread = (engine.run(faces.pixels[:50])[0] for engine in (dropped, kept_out))
    np.testing.assert_array_equal(logits.argmax(axis=1), spread.argmax(axis=1))
    # What is left to the seven is shared out evenly, so that none of them is surer than before.
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert (np.exp(spread).max(axis=1) < shares.max(axis=1)).all()
    np.testing.assert_allclose(np.exp(spread).sum(axis=1), 1, atol=1e-5)
    assert "kept out" in paths[1].with_suffix(".md").read_text()


# --- a batch that is part of the graph


@pytest.mark.usefixtures("here")
def test_a_fixed_batch_is_kept_where_it_is_asked_for(
    foreign: Callable[[str], Path], table: Path, faces: FaceSet, tmp_path: Path
) -> None:
    wish, file = Wish(preset="emotion-ferplus-8"), foreign("emotion-ferplus-8")
    kept = Engine.load(adopt(file, wish, table, Target(tmp_path, batch=1)), provider="cpu", threads=1)
    freed = Engine.load(adopt(file, wish, table, Target(tmp_path)), provider="cpu", threads=1)
    assert kept.path.name == "emotion-ferplus-8.adopted.batch1.onnx"
    assert (kept.manifest.batch, freed.manifest.batch) == (1, None)
    few = faces.pixels[:3]
    np.testing.assert_allclose(kept.run(few)[0], freed.run(few)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("here")
def test_a_batch_that_cannot_be_freed_says_what_to_do(faces: FaceSet, table: Path, tmp_path: Path) -> None:
    body = Body("x", [2, 1, 48, 48], "y", 18)
    body.add("Conv", ["x", body.weight("k", np.full((2, 1, 3, 3), 1 / 9, np.float32))], "p", strides=[3, 3])
    # A constant of the batch's size joins in.
    body.add("Add", ["p", body.weight("both", np.zeros((2, 1, 1, 1), np.float32))], "sum")
    body.add("Flatten", ["sum"], "features")
    wish = Wish(divide_by=255.0, names=LABELS_7)
    onnx.save(fitted(body, Preprocessing(size=48, divide_by=255.0), LABELS, faces), tmp_path / "two.onnx")
    with pytest.raises(InputError, match="--fixed-batch 2"):
        adopt(tmp_path / "two.onnx", wish, table, Target(tmp_path))
    path = adopt(tmp_path / "two.onnx", wish, table, Target(tmp_path, batch=2))
    assert Engine.load(path, provider="cpu", threads=1).run(faces.pixels[:3])[0].shape == (3, 7)


# --- what the gate refuses


def _other_weight(model: onnx.ModelProto) -> None:
    weights = numpy_helper.to_array(model.graph.initializer[-1]).copy()
    weights.flat[0] += 0.01
    model.graph.initializer[-1].CopyFrom(numpy_helper.from_array(weights, model.graph.initializer[-1].name))


def _other_node(model: onnx.ModelProto) -> None:
    next(node for node in model.graph.node if node.op_type == "Tanh").op_type = "Sigmoid"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("spoil", [_other_weight, _other_node])
def test_a_network_that_is_not_the_foreign_one_is_refused(
    spoil: Callable[[onnx.ModelProto], None],
    foreign: Callable[[str], Path],
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = getattr(proving, "run_side")  # noqa: B009 - not its to export

    def spoiled(module: str, work: str) -> None:
        answered(module, work)
        network = onnx.load(Path(work) / side.NETWORK)
        spoil(network)
        onnx.save(network, Path(work) / side.NETWORK)

    monkeypatch.setattr(proving, "run_side", spoiled)
    with pytest.raises(ExportError, match="over the tolerance"):
        adopt(foreign("fer"), Wish(preset="fer"), table, Target(tmp_path))
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == [
        "fer.adopted.failed.parity.json"
    ]
    assert json.loads((tmp_path / "fer.adopted.failed.parity.json").read_text())["stage"] == "parity"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("part", ["_resize_whole", "_normalise", "_spread"])
def test_preprocessing_that_does_otherwise_than_declared_is_refused(
    part: str, foreign: Callable[[str], Path], table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = getattr(nodes, part)

    def wrong(chain: nodes.Chain, declared: Preprocessing | int) -> None:
        right(chain, declared)
        # One grey value in a thousand.
        chain.step("Mul", chain.constant(np.float32(1.001)))

    monkeypatch.setattr(nodes, part, wrong)
    with pytest.raises(ExportError, match="parity"):
        adopt(foreign("fer"), Wish(preset="fer"), table, Target(tmp_path))


@pytest.mark.usefixtures("here")
def test_a_model_that_is_fed_wrongly_is_refused_with_what_would_do_better(
    foreign: Callable[[str], Path], table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The labels of the zoo's model, one place further each.
    names = "contempt,neutral,happy,surprise,sad,angry,disgust,fear"
    wish = Wish(preset="emotion-ferplus-8", names=names)
    with pytest.raises(ExportError, match=r"probably fed wrongly.*--labels .* reaches .*--allow-chance"):
        adopt(foreign("emotion-ferplus-8"), wish, table, Target(tmp_path))
    assert not list(tmp_path.glob("*.onnx"))
    path = adopt(foreign("emotion-ferplus-8"), wish, table, Target(tmp_path, allow_chance=True))
    adoption = Engine.load(path, provider="cpu", threads=1).manifest.adoption
    assert adoption is not None
    assert adoption.validation is not None
    assert not adoption.validation.is_above_chance
    assert "probably fed wrongly" in path.with_suffix(".md").read_text()
    assert "warning: emotion-ferplus-8: accuracy" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_a_model_that_gives_every_face_one_label_is_refused_with_what_would_do_better(
    foreign: Callable[[str], Path], table: Path, tmp_path: Path
) -> None:
    # Every face is a black one.
    wish = Wish(preset="deepface", divide_by=1e6)
    with pytest.raises(ExportError, match="--divide-by 255 --mean 0 --std 1 reaches"):
        adopt(foreign("deepface"), wish, table, Target(tmp_path))


@pytest.mark.usefixtures("here")
def test_a_model_above_chance_is_told_what_would_do_much_better(
    foreign: Callable[[str], Path], table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Grey values a third as large as they should be.
    adopt(foreign("deepface"), Wish(preset="deepface", divide_by=700.0), table, Target(tmp_path))
    assert "deepface may be fed wrongly: on 300 of these faces --divide-by 255 --mean 0" in capsys.readouterr().err


def test_a_name_is_not_taken_from_another_file(
    foreign: Callable[[str], Path], table: Path, tmp_path: Path, here: None
) -> None:
    adopt(foreign("fer"), Wish(preset="fer"), table, Target(tmp_path, "mine"))
    with pytest.raises(InputError, match="--name NAME, or put this one in its place with --replace"):
        adopt(foreign("deepface"), Wish(preset="deepface"), table, Target(tmp_path, "mine"))
    adopt(foreign("deepface"), Wish(preset="deepface"), table, Target(tmp_path, "mine", replace=True))
    adopt(foreign("deepface"), Wish(preset="deepface"), table, Target(tmp_path, "mine"))


# --- what cannot be adopted


def _small(*made: onnx.NodeProto, weights: Sequence[onnx.TensorProto] = (), opset: int = 18) -> onnx.ModelProto:
    graph = helper.make_graph(
        made,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 48, 48])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 7])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def _loop() -> onnx.ModelProto:
    body = helper.make_graph([], "body", [], [])
    return _small(helper.make_node("Loop", ["x", "", "x"], ["y"], body=body))


def _custom() -> onnx.ModelProto:
    return _small(helper.make_node("Emotion", ["x"], ["y"], domain="com.example"))


def _external() -> onnx.ModelProto:
    tensor = numpy_helper.from_array(np.zeros(7, np.float32), "w")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    return _small(helper.make_node("Add", ["x", "w"], ["y"]), weights=[tensor])


def _two_inputs() -> onnx.ModelProto:
    model = _small(helper.make_node("Flatten", ["x"], ["y"]))
    model.graph.input.append(helper.make_tensor_value_info("age\x1b[31m", TensorProto.FLOAT, ["n"]))
    return model


def _of_bytes() -> onnx.ModelProto:
    model = _small(helper.make_node("Flatten", ["x"], ["y"]))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    return model


def _much() -> onnx.ModelProto:
    sides = numpy_helper.from_array(np.array([10**6, 10**6]), "sides")
    return _small(helper.make_node("ConstantOfShape", ["sides"], ["y"]), weights=[sides])


def _too_new() -> onnx.ModelProto:
    return _small(helper.make_node("Flatten", ["x"], ["y"]), opset=99)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (_loop, "uses Loop"),
        (_custom, "uses com.example.Emotion"),
        (_external, "weights in another file"),
        (_two_inputs, r"takes 2 inputs \(x, age\?\[31m\)"),
        (_of_bytes, "takes uint8, expected float"),
        (_much, "uses ConstantOfShape"),
        (_too_new, "export it again from its framework with opset 18"),
    ],
)
def test_a_file_that_cannot_be_adopted_is_refused_with_a_sentence(
    made: Callable[[], onnx.ModelProto], said: str, table: Path, tmp_path: Path, here: None
) -> None:
    (tmp_path / "hostile.onnx").write_bytes(made().SerializeToString())
    with pytest.raises(InputError, match=said):
        adopt(tmp_path / "hostile.onnx", Wish(divide_by=255.0, names=LABELS_7), table, Target(tmp_path / "models"))
    assert not list(tmp_path.glob("models/*.onnx"))


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x09", b"\x08\x08\x3a\xff\xff\xff\xff\x0f"])
def test_bytes_that_are_no_model_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.onnx"):
        read_foreign(tmp_path / "a.onnx")


@given(data=st.data())
@settings(max_examples=60)
def test_no_changed_byte_of_a_foreign_file_is_more_than_a_sentence(data: st.DataObject, broken: Path) -> None:
    content = bytearray(broken.with_name("whole").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    broken.write_bytes(content)
    with suppress(InputError):
        read_foreign(broken)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("broken")
    (folder / "whole").write_bytes(_small(helper.make_node("Flatten", ["x"], ["y"])).SerializeToString())
    return folder / "broken.onnx"


# --- declarations


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish(), "--labels is missing"),
        (Wish(names=LABELS_7), "--divide-by is missing"),
        (Wish(preset="fer2"), "--preset is 'fer2', expected one of"),
        (Wish(names="angry,happy", divide_by=1.0), "disgust 0 times"),
        (Wish(names=f"{LABELS_7},anger", divide_by=1.0), "angry 2 times"),
        (Wish(names=LABELS_7, divide_by=0.0), "expected more than 0"),
        (Wish(names=LABELS_7, divide_by=float("nan")), "no finite number"),
        (Wish(names=LABELS_7, divide_by=255.0, mean=(0.1, 0.2)), "mean has 2 values"),
        (Wish(names=LABELS_7, divide_by=255.0, size=4), "--size is 4"),
        (Wish(names=LABELS_7, divide_by=255.0, size=96), r"takes \[N, 64, 64, 1\], and \[N, 96, 96, 1\]"),
        (Wish(names=LABELS_7, divide_by=255.0, layout="nchw"), r"and \[N, 1, 64, 64\] is declared"),
        (Wish(preset="rmn"), r"and \[N, 3, 224, 224\] is declared \(NCHW\)"),
        (Wish(preset="fer", output="logits"), "--output is 'logits', expected one of predictions"),
        (Wish(preset="fer", trained_on="x" * 400), "--trained-on has 400 characters"),
        (Wish(preset="fer", names=f"{LABELS_7},contempt"), "answers with 7 values a face, and 8 labels"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(
    wish: Wish, said: str, foreign: Callable[[str], Path], table: Path, tmp_path: Path, here: None
) -> None:
    with pytest.raises(InputError, match=said):
        adopt(foreign("fer"), wish, table, Target(tmp_path))


@pytest.mark.usefixtures("here")
def test_faces_without_parts_cannot_tell_whether_a_model_is_fed_rightly(
    foreign: Callable[[str], Path], faces: FaceSet, tmp_path: Path
) -> None:
    for number, (pixels, label) in enumerate(zip(faces.pixels[:14], faces.labels[:14], strict=True)):
        path = tmp_path / "faces" / LABELS[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    with pytest.raises(InputError, match=r"which adopting needs; leave out --data.*--part all"):
        adopt(foreign("fer"), Wish(preset="fer"), tmp_path / "faces", Target(tmp_path / "models"))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("weight", "said"), [(np.nan, "NaN or infinity"), (np.float32(-7), "is no probability.*--answers logits")]
)
def test_answers_that_cannot_be_are_refused(
    weight: float, said: str, foreign: Callable[[str], Path], table: Path, tmp_path: Path
) -> None:
    model = onnx.load(foreign("fer"))
    # Shifts all that the softmax has answered.
    model.graph.initializer.append(numpy_helper.from_array(np.array(weight, np.float32), "spoiled"))
    model.graph.node[-1].output[0] = "right"
    model.graph.node.append(helper.make_node("Add", ["right", "spoiled"], ["predictions"]))
    onnx.save(model, tmp_path / "spoiled.onnx")
    with pytest.raises(InputError, match=said):
        adopt(tmp_path / "spoiled.onnx", Wish(preset="fer"), table, Target(tmp_path))


def test_an_adopted_model_stands_with_the_first_measured_on_the_same_faces(reports: list[Report]) -> None:
    trained, adopted = reports
    data = data_of(trained.manifest)
    elsewhere = replace(trained, manifest=replace(trained.manifest, data=replace(data, fingerprint="2" * 64)))
    third = replace(trained, manifest=replace(trained.manifest, data=replace(data, fingerprint="3" * 64)))
    assert in_tables([adopted, elsewhere, third], lambda report: report) == [[elsewhere, adopted], [third]]
    assert in_tables([adopted], lambda report: report) == [[adopted]]
    assert "unknown" not in adopted.heading
    assert adopted.table_key[0] == adopted.evaluated_on.fingerprint


def test_an_adopted_manifest_has_no_training_and_a_trained_one_no_adoption(tiny_manifest: Manifest) -> None:
    for wrong in ({"origin": "adopted"}, {"data": None}, {"framework": "onnx"}, {"selection": None}):
        with pytest.raises(InputError):
            replace(tiny_manifest, **wrong)


# --- the command


def ferox(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ferox", *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_command_adopts_or_refuses_and_others_work_with_what_it_wrote(
    foreign: Callable[[str], Path], table: Path, tmp_path: Path
) -> None:
    given = ("adopt", foreign("fer"), "--preset", "fer", "--data", table, "--out", tmp_path / "models")
    done = ferox(*given, "--trained-on", "drawn faces", "--name", "theirs")
    path = tmp_path / "models" / "theirs.adopted.onnx"
    assert (done.returncode, done.stdout) == (0, f"{path}\n"), done.stderr
    assert "theirs on validation faces: accuracy" in done.stderr
    refused = ferox(*given, "--divide-by", "1e6")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "is not published: parity: the reference gives real faces 1 different labels" in refused.stderr
    wrong = ferox(*given, "--name", "a b")
    assert (wrong.returncode, "the name is 'a b'" in wrong.stderr) == (2, True)
    evaluated = ferox("evaluate", path, "--data", table, "--out", tmp_path / "reports")
    assert evaluated.returncode == 0, evaluated.stderr
    page = (tmp_path / "reports" / "theirs.adopted" / "report.html").read_text()
    assert page.count("unknown; whoever adopted it says: drawn faces") >= 2
    assert ferox("models", path, "--hub-folder", tmp_path / "hub").returncode == 2
    photo = draw_examples(tmp_path / "photos")[0]
    explained = ferox("explain", photo, "--model", path, "--faces", "whole", "--out", tmp_path / "maps")
    assert explained.returncode == 0, explained.stderr


@pytest.mark.slow
def test_the_program_in_the_manual_converts_a_keras_model_that_is_then_adopted(
    faces: FaceSet, table: Path, tmp_path: Path
) -> None:
    # Asked for without importing it: in one process with TensorFlow, PyTorch's exporter ends that process.
    if importlib.util.find_spec("tensorflow") is None or importlib.util.find_spec("tf2onnx") is None:
        pytest.skip("TensorFlow or tf2onnx is not installed (ferox[tensorflow,export])")
    program = re.search(r"```python\n(import sys\n.*?)```", (ROOT / "docs" / "adopt.md").read_text(), re.DOTALL)
    assert program is not None
    (tmp_path / "to_onnx.py").write_text(program[1])
    # DeepFace's signature: 48 pixels from 0 to 1, channels last, a softmax at the end.
    weights = least_squares(faces, np.arange(len(faces)), 0, 0)
    np.savez(tmp_path / "weights.npz", 2 * weights, -weights.sum(axis=0))
    maker = (
        "import sys, numpy, keras; layers = keras.layers\n"
        "last = layers.Dense(7, activation='softmax')\n"
        "model = keras.Sequential([keras.Input((48, 48, 1)), layers.Flatten(), last])\n"
        "model.set_weights(list(numpy.load('weights.npz').values())); model.save('model.hdf5')\n"
    )
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    for words in (["-c", maker], ["to_onnx.py", "model.hdf5", "model.onnx"]):
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    path = adopt(tmp_path / "model.onnx", Wish(preset="deepface"), table, Target(tmp_path / "models"))
    adoption = Engine.load(path, provider="cpu", threads=1).manifest.adoption
    assert adoption is not None
    assert adoption.validation is not None
    assert adoption.validation.accuracy > 0.5


def test_an_adopted_model_may_be_named_in_an_ensemble_of_the_table_that_it_stands_in(
    engines: list[Engine], faces: FaceSet
) -> None:
    other = face_set(faces.pixels[::2], faces.labels[::2], source="other.csv")
    tasks = [assign(engine, other, "all") for engine in reversed(engines)]
    names = tuple(task.name for task in tasks)
    assert check_ensembles(tasks, [names]) == [names]
