"""Training's parts: settings, specs, weights, what an epoch shows; a wrong value is refused before data is loaded."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data.errors import InputError
from training.epoch import AUGMENTATIONS, class_weights, draw_distortion, plan_epoch
from training.loop import batches
from training.recipe import recipe, settings_from_record
from training.specs import MODELS
from training.weights import initial_weights, load_weights, parameter_count, save_weights, shapes

torch = pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")

from training.torch.model import build, distort, get_weights, set_weights  # noqa: E402


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "training", *map(str, arguments)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--epochs", "0"], "--epochs is 0, expected 1 to"),
        (["--learning-rate", "nan"], "--learning-rate is nan"),
        (["--test-share", "1"], "--test-share is 1.0"),
        (["--fold", "2"], "--fold 2 belongs to"),
        (["--label-smoothing", "0.9"], "--label-smoothing is 0.9"),
    ],
)
def test_a_wrong_value_is_refused_before_any_data_is_loaded(arguments: list[str], words: str) -> None:
    done = subprocess.run(
        command("--model", "mlp_1", "--data", "nowhere.csv", *arguments), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert "nowhere" not in done.stderr


@pytest.mark.parametrize("name", [name for name in MODELS if name != "resnet_18"])
def test_every_spec_builds_with_the_weights_that_it_states(name: str) -> None:
    spec = MODELS[name]
    model = build(spec)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameter_count(spec)
    weights = initial_weights(spec, seed=1)
    set_weights(model, weights)
    assert all((get_weights(model, spec)[key] == array).all() for key, array in weights.items())
    assert model.eval()(torch.zeros(2, 1, 48, 48)).shape == (2, 7)


def test_resnet_18_is_torchvisions() -> None:
    from torchvision.models import resnet18

    spec = MODELS["resnet_18"]
    ours, theirs = build(spec), resnet18(num_classes=7)
    theirs.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    weights = initial_weights(spec, seed=0)
    set_weights(ours, weights)
    arrays = [torch.from_numpy(weights[name]) for name in shapes(spec)]
    names = [name for name in theirs.state_dict() if not name.endswith("num_batches_tracked")]
    theirs.load_state_dict(dict(zip(names, arrays, strict=True)), strict=False)
    pixels = torch.rand(2, 1, 48, 48)
    large = torch.nn.functional.interpolate(pixels, size=(224, 224), mode="bilinear", align_corners=False)
    with torch.inference_mode():
        assert torch.allclose(ours.eval()(pixels), theirs.eval()(large), atol=1e-5)


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    spec = MODELS["mlp_1"]
    weights = initial_weights(spec, 0)
    save_weights(weights, spec, tmp_path / "good.npz")
    assert (load_weights(tmp_path / "good.npz", spec)["dense_1.bias"] == weights["dense_1.bias"]).all()
    weights["dense_1.bias"][3] = np.nan
    with pytest.raises(InputError, match=r"dense_1\.bias holds NaN"):
        save_weights(weights, spec, tmp_path / "bad.npz")
    assert not (tmp_path / "bad.npz").exists()


def test_a_pickle_is_no_weight_file(tmp_path: Path) -> None:
    import pickle

    path = tmp_path / "evil.npz"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(InputError, match="no readable weight file"):
        load_weights(path, MODELS["mlp_1"])


def test_the_identity_distortion_changes_nothing_and_a_mirror_mirrors() -> None:
    pixels = torch.randint(0, 256, (2, 48, 48), dtype=torch.uint8)
    drawn = draw_distortion(AUGMENTATIONS["light"], 2, np.random.default_rng(0))
    drawn.matrices[:] = [[[1, 0, 0], [0, 1, 0]], [[-1, 0, 0], [0, 1, 0]]]
    drawn.brightness[:] = drawn.contrast[:] = 1
    found = distort(pixels, drawn, slice(0, 2), torch.device("cpu"))
    assert torch.allclose(found[0], pixels[0].float(), atol=1e-2)
    assert torch.allclose(found[1], pixels[1].float().flip(1), atol=1e-2)


def test_sampling_balances_classes() -> None:
    labels = np.repeat(np.arange(7), [70, 7, 30, 90, 50, 40, 60]).astype(np.uint8)
    base = recipe("published", "torch", "mlp_1").record()
    for balance, each in (("over-sampling", 90), ("under-sampling", 7)):
        order = plan_epoch(settings_from_record(base | {"balance": balance}), labels, 1).order
        assert np.bincount(labels[order]).tolist() == [each] * 7
    assert np.isclose((class_weights("class-weights", labels)[labels]).sum(), len(labels))


def test_no_batch_holds_a_single_face() -> None:
    assert batches(129, 64) == [(0, 64), (64, 129)]
    assert batches(128, 64) == [(0, 64), (64, 128)]
