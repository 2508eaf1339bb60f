"""What must not change unnoticed: bytes and documents that others hold or read, each made from fixed inputs.

A change on purpose rewrites the golden files, `python -m pytest tests/test_guards.py --rewrite-golden`, and its commit
says why.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from data.documents import json_schema
from data.faceset import LABELS, FaceSet, face_set
from data.files import write_json, write_text
from data.splits import SplitPlan, split
from export.contract import seal, wrap
from inference.benchmark.document import BenchmarkRecord
from inference.comparison.document import Comparison
from inference.engine import Engine
from inference.manifest import CONTRACT, NO_DIGEST, DataRecord, Manifest, Parity, Selection, Temperature, data_record
from inference.measure.evaluation import assign
from inference.report.class_maps import ClassMapsRecord
from inference.report.document import Report
from inference.report.training_result import TrainingResult
from inference.report.writer import report_of
from inference.results import read
from inference.saliency.document import PictureExplanation
from inference.video.summary import WatchSummary
from training.run import RunRecord

ROOT = Path(__file__).parents[1]
GOLDEN, SCHEMAS = Path(__file__).parent / "golden", ROOT / "docs" / "schemas"
RESULTS = sorted((ROOT / "docs" / "results").glob("*.json"))
# What differs from one machine, or one moment, to the next.
VOLATILE = ("created", "engine")


def network() -> onnx.ModelProto:
    """One dense layer whose weights follow from their places alone."""
    places = np.arange(2304 * 7, dtype=np.float64)
    weight = (np.sin(places) / 50).reshape(7, 2304).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["network_input"], ["dense_1.flat"], "dense_1.flatten", axis=1),
        helper.make_node("Gemm", ["dense_1.flat", "dense_1.weight", "dense_1.bias"], ["dense_1"], "dense_1", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("network_input", TensorProto.FLOAT, ["batch", 1, 48, 48])],
        [helper.make_tensor_value_info("dense_1", TensorProto.FLOAT, ["batch", 7])],
        [
            numpy_helper.from_array(weight, "dense_1.weight"),
            numpy_helper.from_array(np.zeros(7, np.float32), "dense_1.bias"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def manifest(data: DataRecord) -> Manifest:
    return Manifest(
        contract=CONTRACT,
        digest=NO_DIGEST,
        model="mlp_1",
        parameters=16135,
        precision="fp32",
        framework="torch",
        versions={"onnx": "1.23.2", "torch": "2.15.0"},
        labels=LABELS,
        recipe={"recipe": "published", "optimizer": "adam", "epochs": 1},
        data=data,
        selection=Selection("validation", 1, 0.5, 1.5),
        checkpoint_sha256="1" * 64,
        parity=Parity(passed=True, faces=30, largest_difference=1e-6),
        created="2026-01-01T00:00:00+00:00",
        temperature=Temperature(1.25, 30, 1.6, 1.5),
    )


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    """Noise, so that nothing depends on how a library draws."""
    random = np.random.Generator(np.random.PCG64(7))
    pixels = random.integers(0, 256, (210, 48, 48), dtype=np.uint8)
    labels = (np.arange(210) % 7).astype(np.uint8)
    usages = np.repeat([0, 1, 2], 70).astype(np.uint8)
    return face_set(pixels, labels, usages, source="noise.csv")


@pytest.fixture(scope="module")
def model(faces: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("guarded") / "mlp_1.torch.published-official.onnx"
    data = data_record(faces.source, faces.fingerprint, split(faces, SplitPlan()))
    path.write_bytes(seal(wrap(network()), manifest(data)))
    return path


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Any:
    """Compare a document with its golden file, or write that anew where it is asked for."""

    def check(name: str, found: Any, folder: Path = GOLDEN) -> None:
        path, found = folder / name, json.loads(json.dumps(found, allow_nan=False))
        if request.config.getoption("--rewrite-golden"):
            write_json(path, found)
        assert_same(json.loads(path.read_text()), found, name)

    return check


def assert_same(wanted: Any, found: Any, where: str) -> None:
    """Keys in their order, lengths, kinds and values; floats, which processors round differently, to four digits."""
    assert type(wanted) is type(found), where
    if isinstance(wanted, dict):
        assert list(wanted) == list(found), where
        for name, value in wanted.items():
            assert_same(value, found[name], f"{where}.{name}")
    elif isinstance(wanted, list):
        assert len(wanted) == len(found), where
        for place, value in enumerate(wanted):
            assert_same(value, found[place], f"{where}[{place}]")
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-4, abs=1e-6), where
    else:
        assert wanted == found, where


def test_an_artifact_of_fixed_weights_is_the_same_bytes(faces: FaceSet, model: Path, golden: Any) -> None:
    own = Engine.load(model, provider="cpu", threads=1).manifest
    golden("artifact.json", {"digest": own.digest, "bytes": model.stat().st_size})


def test_faces_and_splits_have_the_same_fingerprints(faces: FaceSet, golden: Any) -> None:
    plans = {"official": SplitPlan(), "random": SplitPlan("random"), "kfold": SplitPlan("kfold", fold=2)}
    found = {name: split(faces, plan).fingerprint for name, plan in plans.items()}
    golden("fingerprints.json", {"faces": faces.fingerprint, **found})


def test_a_report_of_fixed_answers_is_the_same_document(faces: FaceSet, model: Path, golden: Any) -> None:
    task = assign(Engine.load(model, provider="cpu", threads=1), faces)
    content = report_of(task.evaluate(lambda _: None))
    golden("report.json", {name: value for name, value in content.to_dict().items() if name not in VOLATILE})


def test_predict_s_json_is_the_same_document(model: Path, tmp_path: Path, golden: Any) -> None:
    rows, columns = np.mgrid[0:64, 0:80]
    Image.fromarray(((rows * 3 + columns * 2) % 256).astype(np.uint8)).save(tmp_path / "ramp.png")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    command = [sys.executable, "-m", "inference", "predict", str(model), "ramp.png", "broken.jpg"]
    # In the pictures' folder, so that no path of this machine is in the document.
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--faces", "whole", "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 2, done.stderr
    golden("predict.json", json.loads(done.stdout))


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        (Manifest, "The manifest of an artifact, under the metadata key ferox.manifest"),
        (Report, "An evaluation's report.json"),
        (Comparison, "A comparison's report.json"),
        (TrainingResult, "A file of docs/results: a training and a report of its model"),
        (RunRecord, "A training's run.json"),
        (PictureExplanation, "What a model looked at in a picture, by ferox explain"),
        (ClassMapsRecord, "What a model looks at in each class: a report's maps.json"),
        (BenchmarkRecord, "A benchmark: contenders, round by round, by ferox benchmark"),
        (WatchSummary, "The summary.json of a film, a stream or a camera that was watched"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_published_schemas_are_those_of_the_documents(kind: type[Any], title: str, golden: Any) -> None:
    name = re.sub(r"(?<=[a-z])([A-Z])", r"-\1", kind.__name__).lower()
    golden(f"{name}.json", json_schema(kind, title), SCHEMAS)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_result_is_read_and_written_without_a_loss(path: Path) -> None:
    """Files of earlier versions lack what came later; what they say comes back as they say it."""
    assert_kept(json.loads(path.read_text()), json.loads(json.dumps(read(path).to_dict())), path.name)


def assert_kept(wanted: Any, found: Any, where: str) -> None:
    if isinstance(wanted, dict):
        assert set(wanted) <= set(found), where
        for name, value in wanted.items():
            assert_kept(value, found[name], f"{where}.{name}")
    elif isinstance(wanted, list):
        assert len(wanted) == len(found), where
        for place, value in enumerate(wanted):
            assert_kept(value, found[place], f"{where}[{place}]")
    else:
        assert wanted == found, where


def test_the_readme_s_tables_are_those_of_the_results(tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    write_text(copy, (ROOT / "README.md").read_text())
    files = [str(path.relative_to(ROOT)) for path in RESULTS]
    command = [sys.executable, "-m", "inference", "results", *files, "--into", str(copy)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    assert copy.read_text() == (ROOT / "README.md").read_text()
