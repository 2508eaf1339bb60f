"""What TensorFlow's part has of its own: each held to a formula in NumPy, worked out in a child process."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from data.faceset import FaceSet

Arrays = dict[str, NDArray[Any]]
WORKER = Path(__file__).with_name("tensorflow_worker.py")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed (ferox[tensorflow])"
)


@pytest.fixture(scope="module")
def inputs(drawn: FaceSet) -> Arrays:
    random = np.random.default_rng(0)
    return {
        "pixels": drawn.pixels[:16],
        "labels": (np.arange(16) % 7).astype(np.uint8),
        "logits": random.normal(0, 2, (16, 7)).astype(np.float32),
        "balance": random.uniform(0.2, 3, 7).astype(np.float32),
        "start": random.normal(0, 0.1, 50).astype(np.float32),
        # From 1 down to below every epsilon, so that a misplaced one shows.
        "gradients": (random.normal(0, 1, (10, 50)) * np.logspace(0, -11, 50)).astype(np.float32),
        "rates": np.linspace(0.1, 0.01, 10),
    }


@pytest.fixture(scope="module")
def folder(inputs: Arrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tensorflow")
    arrays: dict[str, Any] = dict(inputs)
    np.savez(folder / "inputs.npz", **arrays)
    done = subprocess.run([sys.executable, str(WORKER), str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> Arrays:
    with np.load(folder / "found.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def facts(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text())
    return facts


def followed(name: str, decay: float, inputs: Arrays) -> NDArray[np.float64]:
    """PyTorch's formulas (the documentation of torch.optim), in float64."""
    w = inputs["start"].astype(np.float64)
    mean, square, total, largest, momentum = np.zeros((5, len(w)))
    path = []
    for step, (gradient, rate) in enumerate(zip(inputs["gradients"].astype(np.float64), inputs["rates"], strict=True)):
        g = gradient if name == "adamw" else gradient + decay * w
        mean, square, total = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g, total + g * g
        largest = np.maximum(0.999 * largest, np.abs(g) + 1e-8)
        momentum = 0.9 * momentum + g
        unbiased = mean / (1 - 0.9 ** (step + 1))
        adam = unbiased / (np.sqrt(square / (1 - 0.999 ** (step + 1))) + 1e-8)
        change = {
            "adam": adam,
            "adamw": adam + decay * w,
            "adamax": unbiased / largest,
            "adagrad": g / (np.sqrt(total) + 1e-10),
            "sgd": momentum,
            "nesterov": g + 0.9 * momentum,
        }[name]
        w = w - rate * change
        path.append(w)
    return np.stack(path)


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("name", ["adam", "adamw", "adamax", "adagrad", "sgd", "nesterov"])
def test_optimisers_follow_pytorch_s_formulas(name: str, decay: float, inputs: Arrays, found: Arrays) -> None:
    expected = followed(name, decay, inputs)
    assert np.ptp(expected, axis=0).max() > 0.01
    assert np.abs(found[f"path/{name}/{decay}"] - expected).max() < 2e-6


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_weighted_and_smoothed_as_pytorch_s(smoothing: float, inputs: Arrays, found: Arrays) -> None:
    logits, labels, balance = inputs["logits"].astype(np.float64), inputs["labels"], inputs["balance"]
    logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    plain = (-balance[labels] * logarithms[np.arange(len(labels)), labels]).sum()
    even = (-balance * logarithms).sum() / 7
    expected = ((1 - smoothing) * plain + smoothing * even) / balance[labels].sum()
    assert np.isclose(found[f"loss/{smoothing}"], expected, rtol=1e-6)


def test_running_statistics_take_a_share_of_the_batch_with_its_unbiased_variance(found: Arrays) -> None:
    picture = found["picture"].astype(np.float64)
    assert np.allclose(found["batchnorm_1.running_mean"], 0.1 * picture.mean(axis=(0, 1, 2)), atol=1e-5)
    variance = picture.var(axis=(0, 1, 2), ddof=1)
    assert np.allclose(found["batchnorm_1.running_var"], 0.9 + 0.1 * variance, atol=1e-5)
    vector = found["vector"].astype(np.float64)
    assert np.allclose(found["batchnorm_2.running_mean"], 0.3 * vector.mean(axis=0), atol=1e-5)
    biased, unbiased = (0.7 + 0.3 * vector.var(axis=0, ddof=less) for less in (0, 1))
    assert not np.allclose(found["batchnorm_2.running_var"], biased, atol=1e-3)
    assert np.allclose(found["batchnorm_2.running_var"], unbiased, atol=1e-4)


def test_dropout_is_scaled_and_seeded_and_no_layer_or_step_repeats_another(found: Arrays) -> None:
    first, again, later, evaluation, other_layer = found["dropped"]
    assert set(np.unique(first)) == {0.0, 2.0}
    assert 0.45 < (first == 0).mean() < 0.55
    assert (first == again).all()
    assert (evaluation == 1).all()
    for other in (later, other_layer):
        assert 0.45 < (first != other).mean() < 0.55


def test_bf16_computes_in_bf16_and_keeps_weights_and_answers_in_float32(found: Arrays) -> None:
    assert (found["bf16/logits"] == found["fp32/logits"]).all()
    assert found["bf16/weight"].dtype == np.float32
    assert (found["bf16/weight"].view(np.uint32) & 0xFFFF).any()
    assert 0 < abs(found["bf16/loss"] - found["fp32/loss"]) < 0.1 * found["fp32/loss"]


def test_what_cannot_be_honoured_or_read_is_refused(facts: dict[str, Any]) -> None:
    said = facts["refusals"]
    assert "start another process" in said["threads"]
    assert "damaged.npz is no state" in said["damaged"]
    assert "half.npz is no state" in said["half"]
    assert "another model or optimiser" in said["other"]
    if facts["gpu"]:
        pytest.skip("there is a GPU, so cuda is not refused")
    assert "--device is cuda" in said["cuda"]


@pytest.mark.parametrize(("model", "norms"), [("cnn_4", 8), ("resnet_18", 20)])
def test_batchnorm_stays_as_it_is_when_converted(model: str, norms: int, folder: Path) -> None:
    graph = onnx.load(folder / f"{model}.onnx").graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = [node for node in graph.node if node.op_type == "BatchNormalization"]
    assert len(found) == norms
    for node in found:
        assert [attribute.f for attribute in node.attribute if attribute.name == "epsilon"] == [np.float32(1e-5)]
        gamma, _, mean, variance = (constants[name] for name in node.input[1:])
        assert (gamma == 1).all()
        assert (mean == 0).all()
        assert (variance == 1).all()


def test_the_resize_names_its_sides(folder: Path) -> None:
    graph = onnx.load(folder / "resnet_18.onnx").graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    (resize,) = (node for node in graph.node if node.op_type == "Resize")
    assert constants[resize.input[3]].tolist() == [224, 224]


def test_a_training_says_nothing_but_its_own_lines(tmp_path: Path) -> None:
    options = ["--framework", "tensorflow", "--model", "mlp_1", "--epochs", "1", "--threads", "1", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "training", *options, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stderr.splitlines()
    assert lines[0].startswith("drawn-")
    assert lines[1].startswith("run folder: ")
    assert lines[2].startswith("epoch 1: loss")
    assert len(lines) == 12
    assert lines[-1].startswith("best epoch 1: accuracy")


def test_the_command_line_s_help_does_not_import_tensorflow() -> None:
    code = "import sys, training.tensorflow.__main__; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
