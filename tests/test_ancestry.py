"""What a model inherits from those that it began with or was taught by: it may not be tested on what they learned."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import data_of

from data.draw import draw
from data.errors import InputError
from data.faceset import FaceSet
from data.splits import SplitPlan, split
from inference.manifest import DataRecord, Manifest, data_record, parse_manifest
from inference.measure.evaluation import assign
from inference.measure.exposure import exposure, refuse_seen
from inference.report.document import Report
from inference.report.training_result import Checkpoint, EpochFigures, FinishedRun, Machine, Move, TrainingResult
from inference.results import result_tables
from training.ancestry import Ancestor, ancestor, inherited, overlaps

OFFICIAL, RANDOM = SplitPlan(), SplitPlan("random")


@pytest.fixture(scope="module")
def own() -> FaceSet:
    """Faces of somebody's own, for fine-tuning."""
    return draw(120, seed=11)


def learned(faces: FaceSet, plan: SplitPlan, source: str = "own.csv") -> DataRecord:
    return data_record(source, faces.fingerprint, split(faces, plan))


@pytest.fixture(scope="module")
def tuned(tiny_manifest: Manifest, drawn: FaceSet, own: FaceSet) -> Manifest:
    """A model of the random split of `drawn`, then fine-tuned on other faces."""
    return replace(tiny_manifest, data=learned(own, OFFICIAL), inherited=(learned(drawn, RANDOM, "drawn.csv"),))


def test_another_split_of_the_same_faces_is_refused_however_far_back_it_was_learned(
    tuned: Manifest, drawn: FaceSet, own: FaceSet
) -> None:
    assert ancestor("tuned", tuned, own, split(own, OFFICIAL)).learned == tuned.learned
    with pytest.raises(InputError, match="could be tested on faces that it has learned"):
        ancestor("tuned", tuned, own, split(own, RANDOM))
    with pytest.raises(InputError, match="could be tested on faces that it has learned"):
        ancestor("tuned", tuned, drawn, split(drawn, OFFICIAL))
    assert ancestor("tuned", tuned, drawn, split(drawn, RANDOM)).name == f"tuned {tuned.digest[:12]}"


def test_what_is_inherited_is_said_once_and_what_is_learned_anew_is_not(drawn: FaceSet, own: FaceSet) -> None:
    first, second = learned(drawn, RANDOM), learned(own, OFFICIAL)
    family = [Ancestor("a", (first, second)), Ancestor("b", (first,))]
    assert inherited(family, second) == (first,)
    assert inherited([], second) == ()


def test_an_ancestor_of_another_set_of_faces_may_have_learned_some_of_this_one(
    tuned: Manifest, drawn: FaceSet, own: FaceSet
) -> None:
    family = [ancestor("tuned", tuned, own, split(own, OFFICIAL))]
    (sentence,) = overlaps(family, learned(own, OFFICIAL))
    assert "learned from drawn.csv, not from the very faces of own.csv" in sentence
    bare = [ancestor("bare", replace(tuned, inherited=()), own, split(own, OFFICIAL))]
    assert not overlaps(bare, learned(own, OFFICIAL))
    assert len(overlaps([*family, *bare], learned(drawn, RANDOM))) == 2


def test_faces_that_an_ancestor_learned_are_counted_and_refused(tuned: Manifest, drawn: FaceSet) -> None:
    indices = split(drawn, OFFICIAL).test
    seen = exposure(tuned, drawn, indices)
    trained = int(np.isin(indices, split(drawn, RANDOM).train).sum())
    assert (seen.same_faces, seen.trained_on, seen.selected_on) == (True, trained, len(indices) - trained)
    assert trained > 0
    with pytest.raises(InputError, match=f"trained on {trained} of the {len(indices)} faces"):
        refuse_seen("tuned.onnx", tuned, seen, "official test part", len(indices))


def test_reports_say_that_an_ancestor_learned_from_other_data(
    tuned: Manifest, own: FaceSet, tmp_path: Path, report_of: Callable[[Manifest, FaceSet], Report]
) -> None:
    assert "also learned from other data (drawn.csv)" in " ".join(report_of(tuned, own).notes)
    assert "other data" not in " ".join(report_of(replace(tuned, inherited=()), own).notes)


@pytest.fixture
def report_of(tiny_model: Path) -> Callable[[Manifest, FaceSet], Report]:
    """Makes the report of a model with another manifest on the test part of faces."""
    from inference.engine import Engine
    from inference.report.writer import report_of

    engine = Engine.load(tiny_model, provider="cpu", threads=1)

    def made(manifest: Manifest, faces: FaceSet) -> Report:
        task = assign(replace(engine, manifest=manifest), faces)
        return report_of(task.evaluate(lambda count: None))

    return made


def test_manifests_from_before_there_was_fine_tuning_are_read(tuned: Manifest, tiny_manifest: Manifest) -> None:
    assert parse_manifest(tuned.to_json(), "x") == tuned
    content = json.loads(tiny_manifest.to_json()) | {"contract": 1}
    del content["inherited"]
    assert parse_manifest(json.dumps(content), "x") == replace(tiny_manifest, contract=1)
    with pytest.raises(InputError, match="does not follow contract"):
        parse_manifest(tuned.to_json().replace('"source": "drawn.csv", ', ""), "x")


def test_tables_name_what_else_a_model_learned_from(
    tuned: Manifest, own: FaceSet, report_of: Callable[[Manifest, FaceSet], Report]
) -> None:
    report, machine = report_of(tuned, own), Machine("a processor", 2)
    settings: dict[str, Any] = {
        "recipe": "best",
        "optimizer": "adamw",
        "balance": "none",
        "weights": "base 123",
        "epochs": 1,
    }
    settings |= {"precision": "fp32", "model": "mlp_1", "learning_rate": 0.1}
    run = FinishedRun(
        schema=1,
        status="finished",
        settings=settings,
        parameters=1,
        versions={},
        data=data_of(report.manifest),
        skip_bad_rows=False,
        machine=machine,
        commit=None,
        started="2026-01-01T00:00:00+00:00",
        seconds=1.0,
        test=None,
        inherited=report.manifest.inherited,
        moves=(Move(epoch=1, commit=None, versions={}, machine=Machine("another", 2)),),
        name="run",
        best=Checkpoint(1, "weights", "0" * 64, 0.5, 1.5),
    )
    none: dict[str, Any] = {
        "train_loss": 1.0,
        "train_accuracy": 0.5,
        "validation_loss": 1.0,
        "validation_accuracy": 0.5,
    }
    none |= {"validation_part": "validation", "learning_rate": 0.1, "seconds": 1.0, "images_per_second": 1.0}
    epochs = tuple(EpochFigures(epoch=epoch, **none) for epoch in (1, 2, 3))
    (table,) = result_tables([(Path("x.json"), TrainingResult(result=1, run=run, epochs=epochs, report=report))])
    assert "| best, adamw, fine-tuned, learned from drawn.csv before |" in table
    assert "2 threads, then another machine, fp32, epoch 1 of 3 |" in table
