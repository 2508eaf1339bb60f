"""The artifact and its gate: what is published answers as it was trained, and every kind of damage is caught."""

import ast
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import pytest
from conftest import data_of
from onnx import numpy_helper

from data.draw import draw, write_csv
from data.errors import InputError
from data.faceset import LABELS, FaceSet
from data.load import load
from data.splits import SplitPlan, split
from export import conversion, fidelity
from export import job as jobs
from export import publish as publishing
from export.card import SpoiledFigures, model_card
from export.contract import check_finite, network_bytes, seal, wrap
from export.conversion import ExportError
from export.job import ExportJob, Form, Options
from export.parity import answers_in_batches, judge, probes
from export.publish import publish
from export.quantize import Quantizer, half
from export.worker import Worker
from inference.engine import Engine
from inference.licence import terms
from inference.manifest import LARGEST_BATCH, Manifest, Parity, Temperature, parse_manifest
from inference.measure.corruptions import KINDS
from training.run import read_record


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *map(str, arguments)], capture_output=True, text=True, check=False)


def loaded(model: onnx.ModelProto, manifest: Manifest, folder: Path) -> Engine:
    path = folder / "model.onnx"
    path.write_bytes(seal(model, manifest))
    return Engine.load(path, provider="cpu", threads=1)


def verdict_of(network: onnx.ModelProto, reference: Engine, manifest: Manifest, faces: FaceSet, folder: Path) -> bool:
    pixels = probes(faces.pixels)
    engine = loaded(wrap(network), manifest, folder)
    answered = answers_in_batches(lambda part: engine.run(part)[0], pixels)
    return judge(reference.run(pixels)[0], answered, len(faces)).passed


def changed(network: onnx.ModelProto, name: str, change: object) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(network)
    (tensor,) = (tensor for tensor in copy.graph.initializer if tensor.name == name)
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), name))  # type: ignore[operator]
    return copy


@pytest.fixture(scope="module")
def trained(drawn: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")
    folder = tmp_path_factory.mktemp("trained")
    write_csv(drawn, folder / "fer2013.csv")
    options = ["--model", "mlp_4", "--data", folder / "fer2013.csv", "--epochs", 5, "--threads", 1]
    done = run("training", *options, "--out", folder / "runs")
    return Path(done.stdout.splitlines()[-1])


def hand_over(source: Path, target: Path) -> None:
    """Copy what a framework gives for an export."""
    for name in ("reference.npy", "network.onnx"):
        shutil.copy(source / name, target)


@pytest.fixture(scope="module")
def proven(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The run's artifact in float32, and a folder with what PyTorch gave for it."""
    kept = tmp_path_factory.mktemp("converted")
    convert = conversion.run_framework

    def converted(job: ExportJob, work: Path, worker: Worker) -> None:
        convert(job, work, worker)
        hand_over(work, kept)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversion, "run_framework", converted)
        return publish(trained, None, tmp_path_factory.mktemp("proven")), kept


@pytest.mark.parametrize(
    ("precision", "share", "batch"), [("fp16", 0.51, None), ("int8", 0.27, None), ("int8", 0.27, 5)]
)
def test_a_lower_precision_is_published_with_its_cost_or_not_at_all(
    precision: str,
    share: float,
    batch: int | None,
    trained: Path,
    proven: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    largest_weight: Callable[[Path], int],
) -> None:
    full, converted = proven
    # The same checkpoint, converted once: every gate is still passed in full.
    monkeypatch.setattr(conversion, "run_framework", lambda job, work, worker: hand_over(converted, work))
    low = publish(trained, None, tmp_path, precision, form=Form(batch), spoiled=True)
    assert low.stem == f"mlp_4.torch.published-official.{precision}" + (f".batch{batch}" if batch else "")
    assert low.stat().st_size < share * full.stat().st_size
    engines = [Engine.load(path, provider="cpu", threads=1) for path in (full, low)]
    manifest = engines[1].manifest
    assert (manifest.precision, manifest.batch) == (precision, batch)
    assert manifest.parity.fp32 is not None
    assert manifest.parity.fp32.passed is True
    faces = load(trained.parents[3] / "fer2013.csv")
    for part in ("validation", "test"):
        places = split(faces, SplitPlan()).part(part)
        logits = [engine.run(np.ascontiguousarray(faces.pixels[places]))[0] for engine in engines]
        assert 0 < np.abs(logits[1] - logits[0]).max() < 0.1 * np.abs(logits[0]).max()
        right = [float((answer.argmax(axis=1) == faces.labels[places]).mean()) for answer in logits]
        cost = manifest.parity.parts[part]
        assert [cost.accuracy_fp32, cost.accuracy] == right
        assert cost.agreement == (logits[0].argmax(axis=1) == logits[1].argmax(axis=1)).mean()
    onnx.checker.check_model(str(low), full_check=True)
    if precision == "int8":
        assert 60 < largest_weight(low) <= 64
    card = low.with_suffix(".md").read_text()
    assert f"| {precision} on test |" in card
    assert "faces of the validation part" in card
    assert "| noise | no |" in card
    assert manifest.float_layers == (("dense_4",) if precision == "int8" else ())
    assert manifest.temperature.faces == data_of(manifest).counts["validation"]
    monkeypatch.setattr(fidelity, "LARGEST_DIVERGENCE", 0.0)
    with pytest.raises(ExportError, match=r"faces of the validation part its answers diverge by"):
        publish(trained, None, tmp_path / "refused", precision)
    (record,) = (tmp_path / "refused").glob("*.json")
    assert json.loads(record.read_text())["stage"] == precision


def test_fp16_rounds_the_weights_and_computes_in_float32(
    linear_network: onnx.ModelProto, tiny_manifest: Manifest, drawn: FaceSet, tmp_path: Path
) -> None:
    def rounded(values: np.ndarray) -> np.ndarray:
        return values.astype(np.float16).astype(np.float32)

    same = loaded(wrap(changed(linear_network, "weight", rounded)), tiny_manifest, tmp_path)
    lowered = loaded(wrap(half(linear_network)), tiny_manifest, tmp_path)
    assert np.array_equal(lowered.run(drawn.pixels)[0], same.run(drawn.pixels)[0])
    beyond = changed(linear_network, "weight", lambda values: values * np.float32(1e7))
    with pytest.raises(InputError, match=r"weight holds .*, float16 at most 65504"):
        half(beyond)


def test_a_run_whose_weights_were_exchanged_is_not_published(trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    for weights in copy.glob("weights-*"):
        weights.write_bytes(b"other")
    refused = run("export", copy, "--out", tmp_path / "models")
    assert refused.returncode == 2
    assert "sha256 differs" in refused.stderr
    assert not (tmp_path / "models").exists()


def test_the_same_network_passes_and_broken_ones_do_not(
    linear_network: onnx.ModelProto, tiny_model: Path, tiny_manifest: Manifest, drawn: FaceSet, tmp_path: Path
) -> None:
    reference = Engine.load(tiny_model, provider="cpu", threads=1)
    assert verdict_of(linear_network, reference, tiny_manifest, drawn, tmp_path)

    def one_weight(values: np.ndarray) -> np.ndarray:
        values[1000, 2] += 0.01
        return values

    def swapped_labels(values: np.ndarray) -> np.ndarray:
        return values[:, [1, 0, 2, 3, 4, 5, 6]]

    for change in (one_weight, swapped_labels):
        assert not verdict_of(changed(linear_network, "weight", change), reference, tiny_manifest, drawn, tmp_path)


def test_another_normalisation_does_not_pass(
    linear_network: onnx.ModelProto, tiny_model: Path, tiny_manifest: Manifest, drawn: FaceSet, tmp_path: Path
) -> None:
    reference = Engine.load(tiny_model, provider="cpu", threads=1)
    broken = changed(wrap(linear_network), "contract_half", lambda value: (value * 1.01).astype(np.float32))
    engine = loaded(broken, tiny_manifest, tmp_path)
    pixels = probes(drawn.pixels)
    verdict = judge(reference.run(pixels)[0], [(0, engine.run(pixels)[0])], len(drawn))
    assert not verdict.passed
    assert "logits differ" in verdict.reason


def test_a_constant_reference_and_nan_prove_nothing() -> None:
    constant = np.tile(np.array([5, 0, 0, 0, 0, 0, 0], np.float32), (10, 1))
    assert "different labels" in judge(constant, [(0, constant)], 10).reason
    varied = np.eye(7, dtype=np.float32)
    two = np.eye(7, dtype=np.float32)[np.arange(10) % 2]
    assert "nothing below 3; train it longer" in judge(two, [(0, two)], 10).reason
    # Of faces with two emotions nobody can ask for three.
    assert judge(two, [(0, two)], 10, known_classes=2).passed
    assert not judge(constant, [(0, constant)], 10, known_classes=2).passed
    assert "NaN" in judge(varied, [(0, np.full((7, 7), np.nan, np.float32))], 7).reason


def test_another_label_is_a_near_tie_that_is_listed_or_logits_that_differ_too_much() -> None:
    reference = np.eye(7, dtype=np.float32) * 3
    reference[0, :2] = [1.000001, 1.0]
    swapped = reference.copy()
    swapped[0, :2] = [1.0, 1.000001]
    verdict = judge(reference, [(0, swapped)], 7)
    assert verdict.passed
    assert [tie.index for tie in verdict.near_ties] == [0]
    # Both answers alike, which the reference's are not by two units in the last place: no tie can be nearer.
    step = np.spacing(np.float32(1))
    reference[0, :2], swapped[0, :2] = [1, 1 + 2 * step], [1 + step, 1 + step]
    verdict = judge(reference, [(0, swapped)], 7)
    assert verdict.passed
    assert [tie.index for tie in verdict.near_ties] == [0]
    swapped[0, :2] = [1.0001, 1.0]
    verdict = judge(reference, [(0, swapped)], 7)
    assert not verdict.passed
    assert "logits differ" in verdict.reason


def test_a_fixed_batch_axis_is_refused(
    linear_network: onnx.ModelProto, tiny_manifest: Manifest, tmp_path: Path
) -> None:
    model = wrap(linear_network)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(InputError, match="expected uint8 pixels"):
        loaded(model, tiny_manifest, tmp_path)


def test_one_changed_byte_anywhere_is_caught(tiny_model: Path, tmp_path: Path) -> None:
    content = tiny_model.read_bytes()
    random = np.random.default_rng(0)
    damaged = tmp_path / "damaged.onnx"
    for place in random.integers(0, len(content), 200):
        broken = bytearray(content)
        broken[place] ^= 1 << int(random.integers(8))
        damaged.write_bytes(bytes(broken))
        with pytest.raises(InputError):
            Engine.load(damaged, provider="cpu", threads=1)
    for length in (0, 10, len(content) // 2, len(content) - 1):
        damaged.write_bytes(content[:length])
        with pytest.raises(InputError):
            Engine.load(damaged, provider="cpu", threads=1)


def test_other_labels_other_versions_and_no_manifest_are_refused(
    linear_network: onnx.ModelProto, tiny_manifest: Manifest, tmp_path: Path
) -> None:
    model = wrap(linear_network)
    with pytest.raises(InputError, match="its labels are"):
        loaded(model, replace(tiny_manifest, labels=LABELS[::-1]), tmp_path)
    with pytest.raises(InputError, match="contract version 3"):
        loaded(model, replace(tiny_manifest, contract=3), tmp_path)
    path = tmp_path / "bare.onnx"
    onnx.save(model, path)
    with pytest.raises(InputError, match="no digest"):
        Engine.load(path)


@pytest.mark.parametrize("wrong", ["NaN", "another sum"])
def test_answers_that_are_no_probabilities_are_refused(
    linear_network: onnx.ModelProto, tiny_manifest: Manifest, tmp_path: Path, wrong: str
) -> None:
    model = wrap(linear_network)
    softmax = model.graph.node[-1]
    assert softmax.op_type == "Softmax"
    if wrong == "NaN":
        model = changed(model, "contract_one", lambda value: value * np.float32(np.nan))
    else:
        softmax.op_type = "Identity"
        del softmax.attribute[:]
    engine = loaded(model, tiny_manifest, tmp_path)
    with pytest.raises(InputError, match="something other than probabilities"):
        engine.run(np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8))


def test_weights_that_are_not_finite_are_refused(linear_network: onnx.ModelProto) -> None:
    broken = changed(linear_network, "bias", lambda values: values + np.float32(np.inf))
    with pytest.raises(InputError, match="bias holds NaN or infinity"):
        check_finite(broken)


def test_faces_of_another_shape_or_kind_are_refused(tiny_model: Path) -> None:
    engine = Engine.load(tiny_model, provider="cpu", threads=1)
    shapes: list[tuple[tuple[int, ...], Any]] = [
        ((1, 48, 47), np.uint8),
        ((0, 48, 48), np.uint8),
        ((1, 48, 48), np.float32),
    ]
    for shape, kind in shapes:
        wrong = np.zeros(shape, kind)
        with pytest.raises(InputError):
            engine.run(wrong)
    many = np.random.default_rng(0).integers(0, 256, (150, 48, 48), dtype=np.uint8)
    assert np.allclose(engine.predict(many)[70:71], engine.predict(many[70:71]), atol=1e-6)


def test_an_unavailable_provider_is_not_replaced_in_silence(tiny_model: Path) -> None:
    with pytest.raises(InputError, match="--provider"):
        Engine.load(tiny_model, provider="openvino")


def test_the_manifest_survives_its_own_json(tiny_manifest: Manifest) -> None:
    assert parse_manifest(tiny_manifest.to_json(), "x") == tiny_manifest


def test_an_artifact_s_manifest_follows_the_published_schema(tiny_model: Path) -> None:
    schema = json.loads((Path(__file__).parents[1] / "docs" / "schemas" / "manifest.json").read_text())
    content = json.loads(Engine.load(tiny_model, provider="cpu").manifest.to_json())
    jsonschema.validate(content, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content | {"labels": content["labels"][::-1]}, schema)


def test_a_file_of_contract_1_is_read_as_it_was(tiny_manifest: Manifest) -> None:
    content = json.loads(tiny_manifest.to_json()) | {"contract": 1}
    for name in ("inherited", "origin", "temperature", "float_layers"):
        del content[name]
    read = parse_manifest(json.dumps(content), "old.onnx")
    assert read == replace(tiny_manifest, contract=1)
    assert (read.temperature.value, read.float_layers) == (1.0, ())
    with pytest.raises(InputError, match="does not follow contract version 2"):
        parse_manifest(json.dumps(content | {"contract": 2}), "new.onnx")


def test_a_file_that_was_written_under_contract_1_answers_as_it_did(drawn: FaceSet) -> None:
    """`golden/contract-1.onnx` is `tiny_model` as the last version before contract 2 sealed it."""
    engine = Engine.load(Path(__file__).parent / "golden" / "contract-1.onnx", provider="cpu", threads=1)
    assert (engine.manifest.contract, engine.manifest.temperature.value) == (1, 1.0)
    answers = engine.predict(drawn.pixels[:9])
    assert answers.argmax(axis=1).tolist() == [4, 1, 1, 0, 6, 3, 1, 4, 3]
    best = [0.45889, 0.39440, 0.41249, 0.30436, 0.49048, 0.58217, 0.34875, 0.32680, 0.20717]
    assert answers.max(axis=1) == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "found"},
        {"temperature": {"value": 0}},
        {"temperature": asdict(Temperature(-1.0))},
        {"float_layers": 3},
        {"batch": 0},
        {"batch": LARGEST_BATCH + 1},
    ],
    ids=["origin", "no temperature", "a negative temperature", "layers", "no batch", "a large batch"],
)
def test_what_contract_2_added_is_checked(tiny_manifest: Manifest, wrong: dict[str, object]) -> None:
    content = json.loads(tiny_manifest.to_json()) | wrong
    with pytest.raises(InputError, match="does not follow contract version 2"):
        parse_manifest(json.dumps(content), "wrong.onnx")


def test_probabilities_are_those_of_the_manifest_s_temperature_and_logits_are_not(
    linear_network: onnx.ModelProto, tiny_manifest: Manifest, drawn: FaceSet, tmp_path: Path
) -> None:
    answers = {}
    for value in (1.0, 2.5):
        engine = loaded(wrap(linear_network), replace(tiny_manifest, temperature=Temperature(value)), tmp_path)
        logits, answers[value] = engine.run(drawn.pixels)
        shifted = np.exp((logits - logits.max(axis=1, keepdims=True)) / value)
        assert np.abs(answers[value] - shifted / shifted.sum(axis=1, keepdims=True)).max() < 1e-6
        stripped = network_bytes((tmp_path / "model.onnx").read_bytes())
        assert stripped == network_bytes(seal(wrap(linear_network), tiny_manifest))
    assert answers[2.5].max() < answers[1.0].max()
    assert np.array_equal(answers[2.5].argmax(axis=1), answers[1.0].argmax(axis=1))


def test_other_tools_find_what_they_look_for(tiny_model: Path) -> None:
    found = Engine.load(tiny_model, provider="cpu").session.get_modelmeta().custom_metadata_map
    assert ast.literal_eval(found["names"]) == dict(enumerate(LABELS))
    assert (found["task"], ast.literal_eval(found["imgsz"]), int(found["channels"])) == ("classify", [48, 48], 1)
    assert found["model_info model_type"] == "Classification"
    assert found["model_info labels"].split() == list(LABELS)
    assert "Apache-2.0" in found["license"]
    assert found["author"] == "ferox"


def test_an_artifact_loads_in_the_oldest_onnxruntime_of_the_contract(tiny_model: Path) -> None:
    """onnxruntime 1.17 takes IR versions up to 9, and this opset with 8."""
    model = onnx.load(tiny_model)
    assert (model.ir_version, [opset.version for opset in model.opset_import]) == (8, [18])


def test_a_card_names_every_class_that_is_missed_more_often_than_found_and_what_was_trained_on(trained: Path) -> None:
    record = read_record(trained)
    assert record.test is not None
    recalls = dict(zip(LABELS, (0.6, 0.31, 0.42, 0.9, None, 0.7, 0.65), strict=True))
    classes = tuple(replace(one, recall=recalls[one.label]) for one in record.test.classes)
    settings = replace(record.settings, augmentation="corruptions")
    record = replace(record, test=replace(record.test, classes=classes), settings=settings)
    manifest = publishing._manifest(
        jobs.read_job(trained, Options(None, trained)), Parity(passed=True, faces=1, largest_difference=1e-6)
    )
    spoiled = SpoiledFigures("validation", 200, 0.7, dict.fromkeys(KINDS, 0.5) | {"noise": 0.64})
    card = model_card(manifest, record, spoiled)
    assert (
        "What it recognises worst on the test part: disgust, 31.0 % of those faces. "
        "It misses more than it finds of fear (42.0 %), too." in card
    )
    lower = model_card(replace(manifest, precision="int8"), record, spoiled)
    assert "| test part, in float32 | accuracy" in lower
    assert "What it recognises worst on the test part, in float32: disgust, 31.0 %" in lower
    assert "70.0 % as they are, 52.0 % in the mean of seven kinds" in card
    assert "| noise | yes | 64.0 % |" in card
    assert card.endswith(f"## Licence\n\n{terms(manifest)}\n")
    assert "| rotation | no | 50.0 % |" in card


def test_calibration_prints_nothing_and_leaves_stdout_to_those_who_export_meanwhile(
    linear_network: onnx.ModelProto, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, stop, printed = wrap(linear_network), threading.Event(), [0]

    def print_names() -> None:
        while not stop.is_set():
            print("a name")
            printed[0] += 1
            time.sleep(0.001)

    other = threading.Thread(target=print_names)
    other.start()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda seed: Quantizer.calibrated(graph, draw(64, seed=seed).pixels), range(4)))
    stop.set()
    other.join()
    assert printed[0] > 20
    assert capsys.readouterr().out == "a name\n" * printed[0]
