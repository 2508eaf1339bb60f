"""Calibration before and after a file's temperature, and where a least confidence may be chosen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import data_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from data.faceset import FaceSet
from data.splits import SplitPlan
from inference.engine import Engine
from inference.manifest import Temperature
from inference.measure.calibration import at_temperature_one, calibration_of
from inference.measure.curves import calibration_bins, expected_calibration_error
from inference.measure.evaluation import assign
from inference.report.document import Report, read_report
from inference.report.writer import report_of, write_report


def answers(temperature: float, seed: int = 0, faces: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels drawn from softmax(logits / temperature), these probabilities as float32, and the logits."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (faces, 7))
    shares = softmax(logits / temperature, axis=1)
    labels = np.array([rng.choice(7, p=row) for row in shares])
    return labels, shares.astype(np.float32), logits


@settings(max_examples=50)
@given(st.floats(0.25, 4.0), st.integers(0, 10**6))
def test_temperature_one_is_led_back_to(temperature: float, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 8, (20, 7))
    raw = at_temperature_one(softmax(logits / temperature, axis=1).astype(np.float32), temperature)
    np.testing.assert_allclose(raw, softmax(logits, axis=1), atol=2e-6)


def test_a_fitting_temperature_surely_helps() -> None:
    labels, shares, logits = answers(2.5)
    found = calibration_of(labels, shares, 2.5)
    assert found.before is not None
    assert found.change is not None
    raw = softmax(logits, axis=1)
    bins = calibration_bins(raw.max(axis=1), raw.argmax(axis=1) == labels)
    assert found.before.calibration_error == pytest.approx(expected_calibration_error(bins), abs=1e-6)
    assert found.before.log_loss == pytest.approx(-np.log(raw[np.arange(600), labels]).mean(), abs=1e-5)
    assert found.change[0] < found.change[1] < 0
    after = expected_calibration_error(calibration_bins(shares.max(axis=1), shares.argmax(axis=1) == labels))
    # Percentiles of draws lie above the error of few faces, which drawing anew adds chance to.
    assert found.interval[0] <= after + 0.02
    assert found.interval[1] >= after
    assert found.interval[1] < found.before.interval[0]
    assert calibration_of(labels, shares, 2.5) == found


def test_without_a_temperature_there_is_no_before() -> None:
    labels, shares, _ = answers(1.0)
    found = calibration_of(labels, shares, 1.0)
    assert (found.before, found.change, found.faces) == (None, None, 600)
    assert calibration_of(labels, shares, 1.5, single_view=False).before is None


def report(model: Path, faces: FaceSet, folder: Path, *, temperature: Temperature, contract: int = 2) -> Report:
    engine = Engine.load(model, provider="cpu", threads=1)
    manifest = replace(engine.manifest, temperature=temperature, contract=contract)
    object.__setattr__(engine, "manifest", manifest)
    return read_report(write_report(assign(engine, faces).evaluate(lambda count: None), folder))


@pytest.mark.parametrize(
    ("temperature", "contract", "said"),
    [
        (Temperature(1.3, 30, 1.5, 1.4), 2, "1.3, fitted on 30 validation faces; calibration error"),
        (Temperature(), 2, "1: the protocol has no validation part to fit one on"),
        (Temperature(), 1, "1: files of contract 1 have none"),
    ],
)
def test_a_report_says_what_the_temperature_does(
    tiny_model: Path, drawn: FaceSet, tmp_path: Path, temperature: Temperature, contract: int, said: str
) -> None:
    made = report(tiny_model, drawn, tmp_path, temperature=temperature, contract=contract)
    page = (tmp_path / made.name / "report.html").read_text()
    assert said in page
    assert made.calibration is not None
    assert (made.calibration.before is None) == (temperature.value == 1)
    assert ("at temperature 1</small>" in page) == (temperature.value != 1)


def test_a_least_confidence_is_chosen_on_the_validation_part(tiny_model: Path, drawn: FaceSet, tmp_path: Path) -> None:
    made = report(tiny_model, drawn, tmp_path, temperature=Temperature())
    assert made.abstention is not None
    assert made.abstention.part == "validation"
    assert made.abstention.faces == data_of(made.manifest).counts["validation"]
    engine = Engine.load(tiny_model, provider="cpu", threads=1)
    validated = report_of(assign(engine, drawn, "validation").evaluate(lambda count: None))
    assert made.abstention.steps[0].accuracy == validated.figures.accuracy
    page = (tmp_path / made.name / "report.html").read_text()
    assert "What a least confidence buys" in page
    assert "On the 30 faces of the validation part" in page
    assert (tmp_path / made.name / "abstention.png").read_bytes().startswith(b"\x89PNG")


def test_without_such_a_part_nothing_is_chosen(tiny_model: Path, drawn: FaceSet, tmp_path: Path) -> None:
    engine = Engine.load(tiny_model, provider="cpu", threads=1)
    task = assign(engine, drawn, protocol="random", allow_seen=True)
    evaluation = task.evaluate(lambda count: None)
    assert evaluation.abstention is None
    folder = write_report(evaluation, tmp_path)
    assert "No value can be chosen on these data" in (folder / "report.html").read_text()
    assert not (folder / "abstention.png").exists()
    # Of a model that learned from the validation part of another protocol, it is none either.
    trained = replace(engine.manifest, data=replace(data_of(engine.manifest), protocol="random"))
    object.__setattr__(engine, "manifest", trained)
    assert not len(assign(engine, drawn, protocol="official", allow_seen=True).validation)
    assert SplitPlan().selects_on == "validation"
