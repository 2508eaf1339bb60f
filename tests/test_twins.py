"""The same model in every framework: equal logits, equal learning, and after export the same bytes."""

import importlib.util
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import framework_worker as worker
import numpy as np
import onnx
import pytest

from data.faceset import FaceSet
from export.canonical import canonical
from export.contract import network_bytes, seal, wrap
from export.conversion import CONVERTERS
from inference.engine import Engine
from inference.manifest import Manifest
from training.recipe import FRAMEWORKS
from training.weights import STATISTICS, Weights, initial_weights, save_weights, shapes

INSTALLED = [name for name in FRAMEWORKS if all(map(importlib.util.find_spec, CONVERTERS[name]))]
WORKER = Path(__file__).with_name("framework_worker.py")
SPECS = worker.SPECS
BUILT = SPECS | {worker.LINEAR.name: worker.LINEAR}
OTHERS = [name for name in INSTALLED if name != "torch"]

pytestmark = [
    pytest.mark.skipif(
        "torch" not in INSTALLED or not OTHERS, reason="fewer than two frameworks are installed (ferox[all])"
    ),
    # A fixture trains, answers with and converts twelve models in three frameworks.
    pytest.mark.timeout(2400),
]


def lived_in(name: str) -> Weights:
    """Weights as after a training: BatchNorm's scale, shift and statistics are not what they begin with."""
    spec, random = BUILT[name], np.random.default_rng(7)
    weights = initial_weights(spec, seed=7)
    for key, shape in shapes(spec).items():
        if len(shape) == 1:
            positive = key.endswith("running_var") or key.endswith(".weight")
            drawn = random.uniform(0.5, 1.5, shape) if positive else random.normal(0, 0.1, shape)
            weights[key] = drawn.astype(np.float32)
    # CNN_4's own initial weights give logits of over 10, whose gradients amplify rounding a hundredfold a step.
    last = [key for key in weights if key.startswith("dense")][-2]
    weights[last] = random.uniform(-0.05, 0.05, weights[last].shape).astype(np.float32)
    return weights


@pytest.fixture(scope="module")
def worked(drawn: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what every framework learned and answered, all at the same time."""
    folder = tmp_path_factory.mktemp("worked")
    np.save(folder / "pixels.npy", drawn.pixels[:40])
    for name, spec in BUILT.items():
        save_weights(lived_in(name), spec, folder / f"{name}.weights.npz")
    # One thread: two that wait for each other on a busy machine take many times as long.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
    children = {}
    with ExitStack() as stack:
        for framework in INSTALLED:
            log = stack.enter_context((folder / f"{framework}.log").open("w"))
            command = [sys.executable, str(WORKER), framework, str(folder)]
            child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
            stack.callback(child.kill)
            children[framework] = child
        failed = [framework for framework, child in children.items() if child.wait()]
    said = {framework: (folder / f"{framework}.log").read_text() for framework in failed}
    assert not failed, "\n".join(f"{framework}: {text[-2000:]}" for framework, text in said.items())
    return folder


@pytest.mark.parametrize("name", SPECS)
def test_one_set_of_weights_answers_alike_in_every_framework(name: str, worked: Path) -> None:
    logits = {framework: np.load(worked / f"{name}.{framework}.npy") for framework in INSTALLED}
    assert logits["torch"].std() > 1e-3
    for framework in OTHERS:
        assert np.abs(logits[framework] - logits["torch"]).max() < 1e-4, framework


@pytest.mark.parametrize("name", SPECS)
def test_exported_twins_are_the_same_bytes_and_answer_bit_for_bit(
    name: str, worked: Path, tiny_manifest: Manifest, drawn: FaceSet
) -> None:
    content, logits = {}, {}
    for framework in INSTALLED:
        network = canonical(onnx.load(worked / f"{name}.{framework}.onnx"))
        path = worked / f"{name}.{framework}.sealed.onnx"
        path.write_bytes(seal(wrap(network), tiny_manifest))
        content[framework] = network_bytes(path.read_bytes())
        logits[framework] = Engine.load(path, provider="cpu", threads=1).run(drawn.pixels[: worker.ANSWERED])[0]
    reference = np.load(worked / f"{name}.torch.npy")
    assert np.abs(logits["torch"] - reference).max() < 1e-4
    for framework in OTHERS:
        assert np.array_equal(logits[framework], logits["torch"]), framework
        assert content[framework] == content["torch"], framework


@pytest.mark.parametrize("name", SPECS)
def test_ten_steps_of_sgd_lead_to_the_same_weights(name: str, worked: Path) -> None:
    before = lived_in(name)
    trained = [key for key in before if not key.endswith(STATISTICS)]

    def step(framework: str, number: int) -> np.ndarray:
        after = np.load(worked / f"{name}.{framework}.after_{number}.npz")
        return np.concatenate([(after[key] - before[key]).ravel() for key in trained])

    assert np.linalg.norm(step("torch", 10)) > 1.5 * np.linalg.norm(step("torch", 1)) > 0
    for framework in OTHERS:
        losses, expected = (np.load(worked / f"{name}.{each}.losses.npy") for each in (framework, "torch"))
        assert np.allclose(losses, expected, rtol=1e-3), framework
        assert np.abs(step(framework, 10) - step("torch", 10)).max() < 1e-3, framework
        # Equal in direction and length, not merely small; the first step is the gradient itself.
        for number in (1, 10):
            walked = step("torch", number)
            apart = np.linalg.norm(step(framework, number) - walked)
            assert apart < 0.05 * np.linalg.norm(walked), f"{framework}, step {number}"


@pytest.mark.parametrize("optimizer", worker.OPTIMIZERS)
def test_an_optimiser_takes_the_same_steps_in_every_framework(optimizer: str, worked: Path) -> None:
    """Class weights, label smoothing, weight decay and taught labels included."""
    start = lived_in("linear")["dense_1.weight"]
    walked = {
        framework: {key: array - start for key, array in np.load(worked / f"linear.{framework}.optimised.npz").items()}
        for framework in INSTALLED
    }
    for step in range(5):
        reference = walked["torch"][f"{optimizer}/{step}"]
        length = np.linalg.norm(reference)
        for framework in OTHERS:
            assert np.linalg.norm(walked[framework][f"{optimizer}/{step}"] - reference) < 0.002 * length, framework
    others = [walked["torch"][f"{other}/4"] for other in worker.OPTIMIZERS if other != optimizer]
    assert min(np.linalg.norm(other - reference) for other in others) > 0.02 * length
