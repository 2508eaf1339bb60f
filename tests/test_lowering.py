"""Lower precisions and temperatures: what is judged, on which faces, and what is left in float32."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from data.faceset import FaceSet
from data.splits import SplitPlan, split
from export import fidelity
from export.contract import seal, wrap
from export.fidelity import divergence, judged_faces, judged_part, refusal
from export.lowering import Judge, lower
from export.temperature import HIGHEST, LOWEST, fit, fitted_temperature, log_loss
from inference.engine import Engine
from inference.manifest import Fidelity, Manifest, Temperature

SEEDED = np.random.default_rng(0)


def calibrated_logits(true_temperature: float) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Logits and labels drawn from them at a temperature, so that it is the one to be found."""
    random = np.random.default_rng(1)
    logits = random.normal(0, 2, (20_000, 7))
    shares = np.exp(logits / true_temperature)
    shares /= shares.sum(axis=1, keepdims=True)
    labels = (random.random((len(logits), 1)) > shares.cumsum(axis=1)).sum(axis=1).clip(0, 6)
    return logits.astype(np.float32), labels.astype(np.uint8)


@pytest.mark.parametrize("true_temperature", [0.6, 1.0, 2.2])
def test_the_temperature_that_labels_were_drawn_at_is_found(true_temperature: float) -> None:
    logits, labels = calibrated_logits(true_temperature)
    found = fit(logits, labels)
    assert found.value == pytest.approx(true_temperature, rel=0.05)
    assert found.faces == len(labels)
    assert found.log_loss == pytest.approx(log_loss(logits, labels, found.value))
    nearby = [log_loss(logits, labels, found.value * factor) for factor in (0.97, 1.03)]
    assert found.log_loss is not None
    assert found.log_loss < min(nearby)


def test_a_part_that_is_all_right_makes_no_answer_certain() -> None:
    labels = np.arange(7, dtype=np.uint8)
    right = np.eye(7, dtype=np.float32)
    assert fit(right, labels).value == pytest.approx(LOWEST, rel=0.01)
    assert fit(right[::-1].copy(), labels).value == pytest.approx(HIGHEST, rel=0.01)


def test_a_temperature_is_fitted_on_the_validation_part_alone(tiny_model: Path, drawn: FaceSet) -> None:
    engine = Engine.load(tiny_model, provider="cpu", threads=1)
    division = split(drawn, SplitPlan())
    found = fitted_temperature(engine, drawn, division)
    assert found.faces == len(division.validation)
    others = FaceSet(drawn.records.copy(), drawn.source)
    others.records["label"][np.r_[division.train, division.test]] = 0
    assert fitted_temperature(engine, others, division) == found
    for plan in (SplitPlan("random"), SplitPlan("kfold", fold=1)):
        assert fitted_temperature(engine, drawn, split(drawn, plan)) == Temperature()


def test_divergence_is_zero_for_the_same_answers_and_grows_with_the_difference() -> None:
    logits = SEEDED.normal(0, 2, (50, 7)).astype(np.float32)
    noise = SEEDED.normal(0, 1, logits.shape).astype(np.float32)
    assert divergence(logits, logits) == 0
    assert divergence(logits, logits + np.float32(3)) == pytest.approx(0, abs=1e-6)
    near, far = (divergence(logits, logits + np.float32(size) * noise) for size in (0.1, 1))
    assert 0 < near < far
    # Two classes of seven, by hand: p = (1/2, 1/2), q = (1/4, 3/4) give ln 2 - (ln 3) / 2.
    rare = -200.0
    p = np.array([[0, 0, *[rare] * 5]], np.float32)
    q = np.array([[0, np.log(3), *[rare] * 5]], np.float32)
    assert divergence(p, q) == pytest.approx(np.log(2) - np.log(3) / 2, abs=1e-6)


def test_accuracy_is_refused_for_what_is_sure_and_not_for_noise() -> None:
    found = {"accuracy_fp32": 0.70, "accuracy": 0.69, "agreement": 0.98, "divergence": 0.001}
    same = Fidelity(part="validation", faces=3589, interval=(-0.015, -0.006), **found)
    assert "surely (95 %) by more than 0.5 points" in refusal(same)
    assert not refusal(replace(same, interval=(-0.015, -0.004)))
    assert "diverge" in refusal(replace(same, divergence=0.021))
    assert "diverge" in refusal(replace(same, divergence=float("nan")))
    assert "not compared in full" in refusal(replace(same, divergence=None))
    assert "94.00 % of the faces the same label, under 95 %" in refusal(replace(same, agreement=0.94))


def test_no_lower_precision_is_judged_on_a_test_part(drawn: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    official = split(drawn, SplitPlan())
    assert judged_part(official) == "validation"
    assert np.array_equal(judged_faces(official), official.validation)
    monkeypatch.setattr(fidelity, "FACES", 20)
    for plan in (SplitPlan("random"), SplitPlan("kfold", fold=2)):
        division = split(drawn, plan)
        assert judged_part(division) == "train"
        faces = judged_faces(division)
        assert len(faces) == 20
        assert np.isin(faces, division.train).all()
        assert not np.isin(faces, division.test).any()


@pytest.fixture(scope="module")
def uneven_network() -> onnx.ModelProto:
    """Three dense layers of which the second has one weight so large that seven bits leave nothing of its others."""
    random = np.random.default_rng(4)
    second = random.normal(0, 0.3, (32, 32)).astype(np.float32)
    second[:, 0] = 300
    weights = {
        "first": random.normal(0, 0.02, (32, 2304)).astype(np.float32),
        "second": second,
        "third": random.normal(0, 0.3, (7, 32)).astype(np.float32),
    }
    # What the large weights are multiplied with is always zero: a unit that never answers.
    weights["first"][0] = 0
    inputs = {"first": "flat", "second": "first.relu", "third": "second.relu"}
    nodes = [helper.make_node("Flatten", ["x"], ["flat"], "flatten", axis=1)]
    for name, source in inputs.items():
        nodes.append(helper.make_node("Gemm", [source, name, f"{name}.bias"], [f"{name}.out"], name, transB=1))
        nodes.append(helper.make_node("Relu", [f"{name}.out"], [f"{name}.relu"], f"{name}.relu"))
    biases = {f"{name}.bias": np.zeros(len(array), np.float32) for name, array in weights.items()}
    graph = helper.make_graph(
        nodes[:-1],
        "uneven",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 48, 48])],
        [helper.make_tensor_value_info("third.out", TensorProto.FLOAT, ["batch", 7])],
        [numpy_helper.from_array(array, name) for name, array in (weights | biases).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def judge(network: onnx.ModelProto, manifest: Manifest, faces: FaceSet, folder: Path) -> Judge:
    def load(graph: onnx.ModelProto) -> Engine:
        path = folder / "draft.onnx"
        path.write_bytes(seal(graph, manifest))
        return Engine.load(path, provider="cpu", threads=1)

    return Judge(load(wrap(network)), faces, split(faces, SplitPlan()), load)


def test_the_layer_that_int8_spoils_is_left_in_float32_and_named(
    uneven_network: onnx.ModelProto, tiny_manifest: Manifest, drawn: FaceSet, tmp_path: Path
) -> None:
    found = lower(uneven_network, "int8", judge(uneven_network, tiny_manifest, drawn, tmp_path))
    assert found.verdict.passed
    assert found.float_layers == ("second", "third")
    ((name, cost),) = found.verdict.spared.items()
    assert name == "second"
    assert cost > fidelity.LARGEST_DIVERGENCE
    stored = {tensor.name: tensor.data_type for tensor in found.graph.graph.initializer}
    assert (stored["second"], stored["first_quantized"]) == (TensorProto.FLOAT, TensorProto.INT8)
    assert found.verdict.judged_on == "validation"
    assert list(found.verdict.parts) == ["validation", "test"]


def test_int8_that_loses_nothing_spares_no_layer_but_the_last(
    linear_network: onnx.ModelProto, tiny_manifest: Manifest, drawn: FaceSet, tmp_path: Path
) -> None:
    named = onnx.ModelProto()
    named.CopyFrom(linear_network)
    for node in named.graph.node:
        node.name = node.op_type.lower()
    found = lower(named, "int8", judge(named, tiny_manifest, drawn, tmp_path))
    assert (found.verdict.passed, found.float_layers, found.verdict.spared) == (True, ("gemm",), {})


def test_int8_that_no_layer_saves_is_refused(
    uneven_network: onnx.ModelProto,
    tiny_manifest: Manifest,
    drawn: FaceSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fidelity, "LEAST_AGREEMENT", 1.1)
    found = lower(uneven_network, "int8", judge(uneven_network, tiny_manifest, drawn, tmp_path))
    assert not found.verdict.passed
    assert "the same label" in found.verdict.reason
    # With the first one, too, it would be float32 by another name.
    assert found.float_layers == ("second", "third")
