"""The models that come with the project: whole, proven, small, and described."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import data_of, selection_of

from data.documents import parse_document
from data.draw import draw
from data.faceset import LABELS
from inference.catalogue import DEFAULT
from inference.engine import Engine
from inference.manifest import CONTRACT, Parity
from inference.report.document import read_report
from inference.text import percent

MODELS = Path(__file__).parents[1] / "artifacts" / "models"
RESULTS = Path(__file__).parents[1] / "docs" / "results"
TWINS = sorted(MODELS.glob("cnn_1.*.published-official-student.int8.onnx"))
BEST = MODELS / f"{DEFAULT}.onnx"
SHIPPED = sorted(MODELS.glob("*.onnx"))


def test_cnn_1_comes_from_every_framework_and_is_small() -> None:
    assert [path.name.split(".")[1] for path in TWINS] == ["paddle", "tensorflow", "torch"]
    assert sum(path.stat().st_size for path in TWINS) < 16_000_000


def test_the_page_s_default_was_selected_apart_from_its_test_part_and_is_small() -> None:
    manifest = Engine.load(BEST, provider="cpu", threads=1).manifest
    assert (data_of(manifest).protocol, selection_of(manifest).part) == ("official", "validation")
    assert BEST.stat().st_size < 1_300_000


def test_all_shipped_models_together_are_small() -> None:
    assert BEST in SHIPPED
    assert sum(path.stat().st_size for path in SHIPPED) < 25_000_000


def test_every_shipped_model_comes_with_its_report_and_without_a_face() -> None:
    folders = sorted((MODELS / "reports").iterdir())
    assert [folder.name for folder in folders] == [path.stem for path in SHIPPED]
    for folder, model in zip(folders, SHIPPED, strict=True):
        assert {file.name for file in folder.iterdir()} == {"report.json", "confusion.png", "roc.png"}
        report = read_report(folder)
        assert report.manifest.digest == Engine.load(model, provider="cpu", threads=1).manifest.digest


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_model_is_proven_and_says_so(path: Path) -> None:
    # onnxruntime takes files that others cannot: those whose nodes are in another order than ONNX asks for.
    onnx.checker.check_model(str(path), full_check=True)
    manifest = Engine.load(path, provider="cpu", threads=1).manifest
    assert manifest.contract == CONTRACT
    assert manifest.precision == path.stem.split(".")[-1] != "fp32"
    assert manifest.parity.fp32 is not None
    assert manifest.parity.passed is manifest.parity.fp32.passed is True
    assert data_of(manifest).counts["test"] == manifest.parity.fp32.faces
    assert data_of(manifest).counts["test"] == {"official": 3589, "random": 7178}[data_of(manifest).protocol]
    record = json.loads(path.with_suffix(".parity.json").read_text())
    del record["stage"]
    assert parse_document(Parity, json.dumps(record), "parity.json", "") == manifest.parity
    assert f"accuracy {percent(selection_of(manifest).accuracy, 2)}" in path.with_suffix(".md").read_text()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_speed_and_the_accuracy_that_are_stated_are_this_very_file_s(path: Path) -> None:
    manifest = Engine.load(path, provider="cpu", threads=1).manifest
    tables = json.loads((RESULTS / "shipped.json").read_text())["tables"]
    (row,) = (row for table in tables for row in table["rows"] if row["name"] == path.stem)
    assert row["bytes"] == path.stat().st_size
    assert row["figures"]["accuracy"] == pytest.approx(manifest.parity.parts["test"].accuracy)
    record = json.loads((RESULTS / f"{path.stem.removesuffix(f'.{manifest.precision}')}.json").read_text())
    assert record["report"]["manifest"]["checkpoint_sha256"] == manifest.checkpoint_sha256


@pytest.mark.parametrize("path", [*TWINS, BEST], ids=lambda path: path.stem)
def test_a_shipped_int8_model_does_not_overflow_on_processors_without_vnni(
    path: Path, largest_weight: Callable[[Path], int]
) -> None:
    assert largest_weight(path) <= 64


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_model_recognises_drawn_smiles(path: Path) -> None:
    """It has never seen a drawing: what it learned from photographs carries over, if its pixels arrive as they did."""
    faces = draw(300, seed=3)
    guesses = Engine.load(path, provider="cpu", threads=1).predict(np.ascontiguousarray(faces.pixels)).argmax(axis=1)
    happy = LABELS.index("happy")
    smiles = faces.labels == happy
    assert (guesses[smiles] == happy).mean() > 2 * (guesses[~smiles] == happy).mean()
