"""Fine-tuning: what an artifact has learned comes back as a spec's arrays, BatchNorm included, and answers the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from data.draw import draw
from data.errors import InputError
from data.faceset import FaceSet
from data.splits import SplitPlan, split
from export.canonical import canonical
from export.contract import seal, wrap
from export.quantize import Quantizer, calibration_faces
from inference.engine import Engine
from inference.manifest import Manifest, data_record
from training.finetune import answering_weights, learned_weights, mean_of
from training.specs import MODELS
from training.weights import Weights, initial_weights

torch = pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")

DEEP = ("cnn_1", "cnn_4", "resnet_18_48")


def lived(model: str) -> Weights:
    """Weights whose BatchNorms have statistics, scales and shifts of their own."""
    random = np.random.default_rng(7)
    weights = initial_weights(MODELS[model], seed=1)
    for name, array in weights.items():
        if array.ndim == 1:
            spread = random.uniform(0.5, 1.5, array.shape)
            weights[name] = (spread if name.endswith(("running_var", ".weight")) else spread - 1).astype(np.float32)
    return weights


@pytest.fixture(scope="module")
def few() -> FaceSet:
    """As few drawn faces as give a part of each kind: the deep models take long over each."""
    return draw(90, seed=3)


@pytest.fixture(scope="module", params=DEEP)
def exported(
    request: pytest.FixtureRequest,
    few: FaceSet,
    tiny_manifest: Manifest,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Weights, Path, Path]:
    """A model's name and weights, and its artifacts in float32 and int8."""
    from export.from_torch import convert
    from training.torch.model import build, set_weights

    folder = tmp_path_factory.mktemp(request.param)
    weights, model = lived(request.param), build(MODELS[request.param])
    set_weights(model, weights)
    convert(model, folder / "network.onnx")
    network = canonical(onnx.load(folder / "network.onnx"))
    division = split(few, SplitPlan())
    manifest = replace(tiny_manifest, model=request.param, data=data_record(few.source, few.fingerprint, division))
    full, low = folder / "fp32.onnx", folder / "int8.onnx"
    full.write_bytes(seal(wrap(network), manifest))
    quantizer = Quantizer.calibrated(wrap(network), calibration_faces(few, division))
    low.write_bytes(seal(quantizer.quantized(), manifest))
    return request.param, weights, full, low


def logits(model: str, weights: Weights, pixels: np.ndarray, *, training: bool) -> np.ndarray:
    from torch import nn

    from training.torch.model import build, normalise, set_weights

    built = build(MODELS[model])
    set_weights(built, weights)
    built.train(training)
    for module in built.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    with torch.inference_mode():
        return np.asarray(built(normalise(torch.from_numpy(pixels))).numpy())


def test_weights_come_back_and_answer_as_the_artifact_does(
    exported: tuple[str, Weights, Path, Path], few: FaceSet
) -> None:
    model, weights, full, low = exported
    division = split(few, SplitPlan())
    own, learned = learned_weights(full, MODELS[model], few, division)
    assert own.name.startswith("fp32 ")
    if model == "cnn_1":
        assert all(np.array_equal(learned[part], array) for part, array in weights.items())
    pixels = np.ascontiguousarray(few.pixels[division.train])
    answers = Engine.load(full, provider="cpu", threads=1).run(pixels)[0]
    size = np.abs(answers).max()
    assert np.abs(logits(model, learned, pixels, training=False) - answers).max() < 1e-4 * size
    # By a batch's own statistics too: training goes on where the artifact is, instead of losing it in the first step.
    assert np.abs(logits(model, learned, pixels, training=True) - answers).max() < 1e-3 * size
    _, rounded = learned_weights(low, MODELS[model], few, division)
    assert 0 < np.abs(logits(model, rounded, pixels, training=False) - answers).max() < 0.1 * size
    answering = logits(model, answering_weights(full, MODELS[model]), pixels, training=False)
    assert np.abs(answering - answers).max() < 1e-4 * size


def test_an_artifact_of_a_fixed_batch_gives_the_weights_of_the_open_one(
    exported: tuple[str, Weights, Path, Path], few: FaceSet, tmp_path: Path
) -> None:
    model, _, full, _ = exported
    division, fixed = split(few, SplitPlan()), tmp_path / "fixed.onnx"
    manifest = Engine.load(full, provider="cpu", threads=1).manifest
    fixed.write_bytes(seal(onnx.load(full), replace(manifest, batch=7)))
    # The last piece is not full, and what fills it is no face.
    assert len(division.train) % 7
    learned, same = (learned_weights(path, MODELS[model], few, division)[1] for path in (full, fixed))
    for name, array in learned.items():
        assert np.abs(same[name] - array).max() <= 1e-4 * np.abs(array).max(), name


def test_a_mean_of_models_lies_half_way_between_two_of_them() -> None:
    one = lived("vgg_32")
    other = {name: np.float32(3) * array for name, array in one.items()}
    mean = mean_of([one, other])
    assert list(mean) == list(one)
    assert all(array.dtype == np.float32 for array in mean.values())
    assert all(np.allclose(array, 2 * one[name], rtol=1e-6) for name, array in mean.items())
    alone = mean_of([one])
    assert all(np.array_equal(alone[name], array) for name, array in one.items())


def test_another_architecture_or_another_split_of_the_same_faces_is_refused(tiny_model: Path, drawn: FaceSet) -> None:
    with pytest.raises(InputError, match="is mlp_1, expected mlp_2"):
        learned_weights(tiny_model, MODELS["mlp_2"], drawn, split(drawn, SplitPlan()))
    with pytest.raises(InputError, match="is mlp_1, expected mlp_2"):
        answering_weights(tiny_model, MODELS["mlp_2"])
    with pytest.raises(InputError, match="could be tested on faces that it has learned"):
        learned_weights(tiny_model, MODELS["mlp_1"], drawn, split(drawn, SplitPlan("random")))


def test_other_faces_can_be_learned_in_any_split(exported: tuple[str, Weights, Path, Path]) -> None:
    model, _, full, _ = exported
    others = draw(90, seed=5)
    _, learned = learned_weights(full, MODELS[model], others, split(others, SplitPlan("random")))
    assert set(learned) == set(initial_weights(MODELS[model], seed=0))
