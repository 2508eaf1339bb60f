"""Artifacts whose batch is fixed: what they say, how they are proven, and that whatever asks models can ask them."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest

from data.errors import InputError
from data.faceset import FaceSet
from demo.state.shelf import Shelf, title
from export.__main__ import main as export_command
from export.contract import seal
from export.conversion import ExportError
from export.job import Form
from export.publish import publish
from inference.catalogue import DEFAULT
from inference.compare import Options, compare, write_finished
from inference.engine import Engine
from inference.manifest import LARGEST_BATCH, Manifest
from inference.measure.evaluation import assign
from inference.report.document import read_report
from inference.testtime import Augmented

ROOT = Path(__file__).parents[1]
INT8 = ROOT / "artifacts" / "models" / f"{DEFAULT}.onnx"
BATCH = 3


def fixed(path: Path, folder: Path, batch: int = BATCH) -> Path:
    """The same artifact with a fixed batch."""
    manifest = Engine.load(path, provider="cpu", threads=1).manifest
    target = folder / f"{path.stem}.batch{batch}.onnx"
    target.write_bytes(seal(onnx.load(path), replace(manifest, batch=batch)))
    return target


def open_axes(path: Path) -> list[str]:
    """The names of all axes that a file leaves open, of what lies between its layers, too."""
    graph = onnx.load(path).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    return [axis.dim_param for value in values for axis in value.type.tensor_type.shape.dim if axis.dim_param]


def test_an_export_with_a_fixed_batch_is_proven_named_and_described_as_what_it_is(
    linear_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "models"
    monkeypatch.setattr(sys, "argv", ["export", str(linear_run), "--fixed-batch", str(BATCH), "--out", str(out)])
    assert export_command() == 0
    path = out / f"mlp_1.torch.published-official.batch{BATCH}.onnx"
    assert capsys.readouterr().out == f"{path}\n"
    engine = Engine.load(path, provider="cpu", threads=1)
    assert [value.shape for value in engine.session.get_inputs()] == [[BATCH, 48, 48]]
    assert [value.shape for value in engine.session.get_outputs()] == [[BATCH, 7]] * 2
    assert engine.manifest.batch == BATCH
    assert engine.manifest.parity.passed
    card = path.with_suffix(".md").read_text()
    assert f"uint8 [{BATCH}, 48, 48]" in card
    assert f"| batch | fixed at {BATCH}: " in card
    found = engine.session.get_modelmeta().custom_metadata_map
    assert found["batch"] == str(BATCH)
    assert found["description"].endswith(f"batch fixed at {BATCH}")
    # Beside it, the same run with an open batch.
    free = publish(linear_run, None, out)
    assert (free.stem, Engine.load(free).manifest.batch) == ("mlp_1.torch.published-official", None)
    assert "| batch |" not in free.with_suffix(".md").read_text()


def test_the_gate_asks_the_file_with_its_batch_fixed(
    linear_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, run = set(), Engine.run

    def watched(engine: Engine, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.add((engine.path.name, engine.session.get_inputs()[0].shape[0]))
        logits, probabilities = run(engine, pixels)
        # A file that answers the padded pieces alone in another way.
        return (logits + 1, probabilities) if broken and len(pixels) % BATCH else (logits, probabilities)

    monkeypatch.setattr(Engine, "run", watched)
    broken = False
    publish(linear_run, None, tmp_path / "models", form=Form(BATCH))
    assert asked == {("draft.onnx", BATCH), ("finished.onnx", BATCH)}
    broken = True
    with pytest.raises(ExportError, match="parity: logits differ"):
        publish(linear_run, None, tmp_path / "others", form=Form(BATCH))


@pytest.mark.parametrize("batch", [0, -1, LARGEST_BATCH + 1])
def test_a_batch_that_no_engine_takes_is_refused_in_a_sentence(
    linear_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    batch: int,
) -> None:
    arguments = ["export", str(linear_run), f"--fixed-batch={batch}", "--out", str(tmp_path / "models")]
    monkeypatch.setattr(sys, "argv", arguments)
    assert export_command() == 2
    assert f"--fixed-batch is {batch}, expected 1 to {LARGEST_BATCH} faces; leave it out" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()
    with pytest.raises(InputError, match="--fixed-batch is"):
        publish(linear_run, None, tmp_path / "models", form=Form(batch))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("batch", [1, BATCH])
def test_any_number_of_faces_gets_the_answers_of_the_open_file(
    precision: str, batch: int, tiny_model: Path, drawn: FaceSet, tmp_path: Path
) -> None:
    path = INT8 if precision == "int8" else tiny_model
    pixels = np.ascontiguousarray(drawn.pixels[:7])
    wanted = Engine.load(path, provider="cpu", threads=1).run(pixels)[0]
    file = fixed(path, tmp_path, batch)
    assert open_axes(path)
    assert open_axes(file) == []
    engine = Engine.load(file, provider="cpu", threads=1)
    for count in (1, 2, 3, 7):
        logits, probabilities = engine.run(pixels[:count])
        assert probabilities.shape == (count, 7)
        # A sum in int8 that is rounded the other way moves a value by a whole step.
        tolerance = 0.1 if precision == "int8" else 1e-5
        assert np.abs(logits - wanted[:count]).max() <= tolerance * np.abs(wanted).max()


def test_a_file_whose_graph_and_manifest_disagree_about_the_batch_is_refused(
    tiny_model: Path, tiny_manifest: Manifest, tmp_path: Path
) -> None:
    graph = onnx.load(fixed(tiny_model, tmp_path))
    for batch, expected in ((None, "batch"), (BATCH + 1, f"{BATCH + 1}")):
        path = tmp_path / "wrong.onnx"
        path.write_bytes(seal(graph, replace(tiny_manifest, batch=batch)))
        with pytest.raises(InputError, match=rf"expected uint8 pixels \[{expected}, 48, 48\]"):
            Engine.load(path)


def test_the_schema_knows_a_fixed_batch_and_an_open_one_is_not_written(tiny_manifest: Manifest) -> None:
    schema = json.loads((ROOT / "docs" / "schemas" / "manifest.json").read_text())
    content = json.loads(replace(tiny_manifest, batch=BATCH).to_json())
    jsonschema.validate(content, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content | {"batch": LARGEST_BATCH + 1}, schema)
    assert "batch" not in json.loads(tiny_manifest.to_json())


def test_a_comparison_and_an_ensemble_take_fixed_and_open_batches_side_by_side(
    artifacts: dict[str, Path], portraits: FaceSet, tmp_path: Path
) -> None:
    free = artifacts["cnn_1.torch.published-official"]
    paths = [free, fixed(free, tmp_path), fixed(artifacts["cnn_1.tensorflow.published-official"], tmp_path, 1)]
    tasks = [assign(Engine.load(path, provider="cpu", threads=1), portraits) for path in paths]
    tasks.append(replace(tasks[1], augmentation="flip"))
    options = Options(ensembles=((tasks[0].name, tasks[1].name),), latency_seconds=0.02)
    finished = compare(tasks, options, time.perf_counter(), tmp_path / "reports")
    folder, (group,) = write_finished(finished, tmp_path / "reports"), finished.groups
    by_name = {contender.name: contender for contender in group.contenders}
    (ensemble,) = (contender for contender in group.contenders if contender.is_ensemble)
    open_one, fixed_one, single, flipped = (by_name[task.name] for task in tasks)
    assert (open_one.predictions == fixed_one.predictions).all()
    assert (open_one.predictions == ensemble.predictions).all()
    robust = [one.robustness for one in (open_one, fixed_one) if one.robustness]
    assert robust[0].clean == robust[1].clean
    assert robust[0].accuracies == robust[1].accuracies
    labels = [one.members[0].report.label for one in (open_one, fixed_one, single, flipped)]
    assert labels == ["cnn_1", f"cnn_1 batch {BATCH}", "cnn_1 batch 1", f"cnn_1 batch {BATCH} + flip"]
    timings = fixed_one.timings
    assert timings is not None
    assert [timing.batch for timing in timings] == [1, 64]
    # Twins answer bit for bit alike, which files of other batches need not.
    assert json.loads((folder / "report.json").read_text())["tables"][0]["twins"] == []
    report = read_report(tmp_path / "reports" / f"{free.stem}.batch{BATCH}")
    assert report.manifest.batch == BATCH
    assert f"batch of {BATCH}" in (tmp_path / "reports" / report.name / "report.html").read_text()


def test_test_time_augmentation_asks_a_fixed_batch_about_any_number_of_views(
    tiny_model: Path, drawn: FaceSet, tmp_path: Path
) -> None:
    pixels = np.ascontiguousarray(drawn.pixels[:4])
    free, once = (Engine.load(path, provider="cpu", threads=1) for path in (tiny_model, fixed(tiny_model, tmp_path, 1)))
    for augmentation in ("flip", "ten-crop"):
        answers = [Augmented(engine, augmentation).predict(pixels) for engine in (free, once)]
        assert np.abs(answers[0] - answers[1]).max() < 1e-6


def test_the_page_s_shelf_offers_a_fixed_batch(tiny_model: Path, drawn: FaceSet, tmp_path: Path) -> None:
    file = fixed(tiny_model, tmp_path)
    assert Shelf(tmp_path).names() == [file.stem]
    assert title(file.stem) == f"MLP-1 · torch · published, official · batch{BATCH}"
    engines, refused = Shelf(tmp_path).engines("all")
    assert not refused
    assert engines[0].predict(drawn.pixels[:5]).shape == (5, 7)


def test_what_is_published_is_not_called_refused_where_nobody_reads_its_name(
    linear_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "models"
    monkeypatch.setattr(sys, "argv", ["export", str(linear_run), "--fixed-batch", str(BATCH), "--out", str(out)])

    def gone(path: Path) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("export.__main__.hand_over", gone)
    with pytest.raises(BrokenPipeError):
        export_command()
    assert len(list(out.glob("*.onnx"))) == 1
    assert "is not published" not in capsys.readouterr().err
