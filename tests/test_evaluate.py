"""Evaluation from the artifact to the report: which faces are allowed, and what the command prints."""

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import InputError
from data.faceset import FaceSet, face_set
from data.splits import SplitPlan, split
from inference.engine import Engine
from inference.evaluate import main
from inference.manifest import Selection, data_record
from inference.measure.evaluation import Measured, assign, measure
from inference.report.document import read_report
from inference.report.writer import write_report


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    """Noise is enough: what is tested here is which faces a model meets, not how well it knows them."""
    pixels = np.random.default_rng(0).integers(0, 256, (300, 48, 48), dtype=np.uint8)
    labels = (np.arange(300) % 7).astype(np.uint8)
    return face_set(pixels, labels, (np.arange(300) // 100).astype(np.uint8), source="noise.csv")


def engine_for(model: Path, faces: FaceSet, plan: SplitPlan) -> Engine:
    """The model, as if it had been trained on `faces` under `plan`."""
    engine = Engine.load(model, provider="cpu", threads=1)
    record = data_record(faces.source, faces.fingerprint, split(faces, plan))
    selection = Selection(plan.selects_on, 1, 0.5, 1.0)
    return replace(engine, manifest=replace(engine.manifest, data=record, selection=selection))


def arguments(models: list[Path], out: Path, **changes: Any) -> argparse.Namespace:
    values: dict[str, Any] = {
        "models": models,
        "data": None,
        "part": None,
        "protocol": None,
        "allow_seen": False,
        "tta": "none",
        "explain": False,
    }
    values |= {"skip_bad_rows": False, "classes": "", "out": out, "provider": "cpu", "threads": 1}
    return argparse.Namespace(**(values | changes))


def test_a_model_is_measured_on_the_test_part_of_its_own_protocol(
    tiny_model: Path, faces: FaceSet, tmp_path: Path
) -> None:
    engine = engine_for(tiny_model, faces, SplitPlan("random", test_share=0.3, seed=9))
    report = read_report(write_report(assign(engine, faces).evaluate(), tmp_path)).to_dict()
    on = report["evaluated_on"]
    assert (on["protocol"], on["part"], on["count"], on["seed"]) == ("random", "test", 90, 9)
    assert on["fingerprint"] == report["manifest"]["data"]["fingerprint"]
    assert (on["same_faces"], on["trained_on"], on["selected_on"]) == (True, 0, 90)


def test_figures_are_those_of_the_engine(tiny_model: Path, faces: FaceSet, tmp_path: Path) -> None:
    engine = engine_for(tiny_model, faces, SplitPlan())
    report = read_report(write_report(assign(engine, faces).evaluate(), tmp_path)).to_dict()
    test = split(faces, SplitPlan()).test
    right = engine.predict(faces.pixels[test]).argmax(axis=1) == faces.labels[test]
    assert report["figures"]["correct"] == right.sum()
    assert report["engine"]["images_per_second"] > 0
    assert report["engine"]["providers"] == engine.providers


def test_another_protocol_whose_test_part_it_was_trained_on_is_refused(
    tiny_model: Path, faces: FaceSet, tmp_path: Path
) -> None:
    engine = engine_for(tiny_model, faces, SplitPlan("random"))
    with pytest.raises(InputError, match=r"was trained on \d+ of the 100 faces of the official test part"):
        write_report(assign(engine, faces, protocol="official").evaluate(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_seen_faces_are_measured_when_they_are_allowed_and_the_report_says_so(
    tiny_model: Path, faces: FaceSet, tmp_path: Path
) -> None:
    engine = engine_for(tiny_model, faces, SplitPlan("random"))
    folder = write_report(assign(engine, faces, protocol="official", allow_seen=True).evaluate(), tmp_path)
    report = read_report(folder).to_dict()
    assert folder.name == f"{tiny_model.stem}-official"
    assert report["evaluated_on"]["trained_on"] > 0
    assert "remembers" in report["notes"][0]


def test_naming_the_train_part_asks_for_seen_faces(tiny_model: Path, faces: FaceSet, tmp_path: Path) -> None:
    folder = write_report(assign(engine_for(tiny_model, faces, SplitPlan()), faces, "train").evaluate(), tmp_path)
    on = read_report(folder).to_dict()["evaluated_on"]
    assert folder.name == f"{tiny_model.stem}-train"
    assert (on["part"], on["trained_on"]) == ("train", on["count"])


def test_official_part_of_faces_without_usage_is_refused(tiny_model: Path, faces: FaceSet, tmp_path: Path) -> None:
    bare = face_set(faces.pixels, faces.labels, source="bare.csv")
    with pytest.raises(InputError, match=r"bare\.csv .*--protocol random"):
        write_report(assign(engine_for(tiny_model, faces, SplitPlan()), bare).evaluate(), tmp_path)


def test_unknown_part_is_refused(tiny_model: Path, faces: FaceSet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'PrivateTest', expected one of train, validation, test"):
        write_report(assign(engine_for(tiny_model, faces, SplitPlan()), faces, "PrivateTest").evaluate(), tmp_path)


def test_switching_to_kfold_takes_its_first_fold(tiny_model: Path, faces: FaceSet, tmp_path: Path) -> None:
    engine = engine_for(tiny_model, faces, SplitPlan())
    on = read_report(
        write_report(assign(engine, faces, protocol="kfold", allow_seen=True).evaluate(), tmp_path)
    ).to_dict()["evaluated_on"]
    assert (on["protocol"], on["fold"], on["count"]) == ("kfold", 1, 60)


def test_measuring_in_batches_gives_every_face_its_answer(tiny_model: Path, faces: FaceSet) -> None:
    engine = Engine.load(tiny_model, provider="cpu", threads=1)
    indices = np.tile(np.arange(300), 2)[::-1].copy()
    measured = measure(engine, faces.pixels, indices)
    np.testing.assert_allclose(measured.probabilities, engine.predict(faces.pixels[indices]), atol=1e-6)
    assert len(measured.pieces) == 3
    assert min(measured.pieces) > 0


@pytest.mark.parametrize(("protocol", "asked_twice"), [("official", True), ("random", False)])
def test_what_the_engine_ran_has_the_validation_part_in_it(
    protocol: str, asked_twice: bool, tiny_model: Path, faces: FaceSet
) -> None:
    done = assign(engine_for(tiny_model, faces, SplitPlan(protocol)), faces).evaluate(lambda count: None)
    assert (done.engine_seconds > done.speed.seconds) is (done.abstention is not None) is asked_twice


def test_a_rate_is_the_median_of_whole_pieces() -> None:
    faces = np.zeros((256 * 3 + 10, 7), np.float32)
    measured = Measured(faces, (0.125, 0.25, 8.0, 0.001))
    assert (measured.images_per_second, measured.seconds) == (1024.0, 8.376)
    assert Measured(faces[:10], (0.001,)).images_per_second == 10_000


def test_command_prints_the_folder_and_a_table(
    tiny_model: Path, drawn: FaceSet, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr("inference.evaluate.load", lambda path, classes, *, skip_bad_rows: drawn)
    second = tmp_path / "second.onnx"
    shutil.copy(tiny_model, second)
    assert main(arguments([tiny_model, second], tmp_path)) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [str(tmp_path / tiny_model.stem), str(tmp_path / "second")]
    assert "macro F1" in printed.err
    assert json.loads((tmp_path / "second" / "report.json").read_text())["report"] == 1


def test_many_models_reports_are_handed_over_in_order(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [tmp_path / f"{name}.onnx" for name in ("one", "two", "three")]
    for model in models:
        shutil.copy(tiny_model, model)
    assert main(arguments(models, tmp_path / "reports", part="all")) == 0
    printed = capsys.readouterr()
    folders = [tmp_path / "reports" / f"{name}-all" for name in ("one", "two", "three")]
    assert printed.out.splitlines() == [str(folder) for folder in folders]
    for folder in folders:
        assert {"report.html", "predictions.csv", "roc.png"} <= {file.name for file in folder.iterdir()}
        assert str(read_report(folder).figures.faces) in printed.err


def test_a_report_that_cannot_be_drawn_ends_the_command(tiny_model: Path, tmp_path: Path) -> None:
    models = [tmp_path / f"{name}.onnx" for name in ("one", "two", "three")]
    for model in models:
        shutil.copy(tiny_model, model)
    out = tmp_path / "reports"
    out.mkdir()
    (out / "two-all").write_text("a file where a folder has to be")
    with pytest.raises(FileExistsError, match="two-all"):
        main(arguments(models, out, part="all"))


def test_command_refuses_two_models_of_one_name(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"two of the models are called {tiny_model.stem}"):
        main(arguments([tiny_model, tmp_path / tiny_model.name], tmp_path))


def test_all_of_a_foreign_set_is_measured_in_one_run(tiny_model: Path, faces: FaceSet, tmp_path: Path) -> None:
    bare = face_set(faces.pixels[:250].copy(), faces.labels[:250].copy(), source="own")
    with pytest.raises(InputError, match="with --part all"):
        assign(engine_for(tiny_model, faces, SplitPlan()), bare)
    task = assign(engine_for(tiny_model, faces, SplitPlan()), bare, "all")
    report = read_report(write_report(task.evaluate(), tmp_path))
    assert (report.figures.faces, report.evaluated_on.scope) == (250, "whole set")
    assert report.name == f"{tiny_model.stem}-all"
    assert "not the data it was trained on" in report.notes[0]


def test_all_of_its_own_set_is_refused_since_it_was_trained_on_some(tiny_model: Path, faces: FaceSet) -> None:
    engine = engine_for(tiny_model, faces, SplitPlan())
    with pytest.raises(InputError, match=r"was trained on 100 of the 300 faces of the whole set"):
        assign(engine, faces, "all")
    assert len(assign(engine, faces, "all", allow_seen=True).indices) == 300
    with pytest.raises(InputError, match="leave out one of them"):
        assign(engine, faces, "all", protocol="random")
