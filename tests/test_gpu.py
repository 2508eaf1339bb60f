"""PyTorch's training on a GPU: recorded steps learn what the same steps on a processor do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data.draw import draw
from training.recipe import recipe
from training.specs import model_spec
from training.teachers import label_shares
from training.torch.train import CAPTURABLE, TorchLearner
from training.views import EpochData
from training.weights import initial_weights

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

BATCH, STEPS = 32, 8


@pytest.fixture(scope="module")
def epoch() -> EpochData:
    # The last batch is smaller than the recorded ones.
    faces = draw(BATCH * STEPS - 5, 0)
    labels = faces.labels.copy()
    return EpochData(faces.pixels.copy(), labels, label_shares(labels), seed=1)


def learner(device: str, optimizer: str, model: str = "mlp_1") -> TorchLearner:
    settings = replace(recipe("best", "torch", model, optimizer), device=device, precision="fp32", threads=2)
    return TorchLearner(settings, initial_weights(model_spec(model), 0), np.ones(7, np.float32))


def taught(one: TorchLearner, epoch: EpochData, first: int = 0, last: int = STEPS) -> TorchLearner:
    for step in range(first, last):
        one.step(BATCH * step, min(BATCH * (step + 1), len(epoch.pixels)), 1e-3 / (step + 1))
    return one


# Adam divides by gradients, whose rounding BatchNorm's many layers make large.
@pytest.mark.parametrize(
    ("model", "optimizer"), [("resnet_18_48", "sgd"), *(("mlp_1", name) for name in (*CAPTURABLE, "adagrad"))]
)
def test_a_gpu_learns_what_a_processor_does(model: str, optimizer: str, epoch: EpochData) -> None:
    learned = {}
    for device in ("cpu", "cuda"):
        one = learner(device, optimizer, model)
        one.begin_epoch(epoch)
        learned[device] = (taught(one, epoch).totals(), one.logits(epoch.pixels[:64]))
    (expected_loss, expected_correct), expected = learned["cpu"]
    (loss, correct), found = learned["cuda"]
    assert loss == pytest.approx(expected_loss, rel=2e-3)
    assert abs(correct - expected_correct) <= 3
    first = learner("cpu", optimizer, model).logits(epoch.pixels[:64])
    assert np.abs(expected - first).max() > 20 * np.abs(found - expected).max()


@pytest.mark.parametrize("optimizer", CAPTURABLE)
def test_a_run_goes_on_from_a_gpu_s_state_on_either(optimizer: str, epoch: EpochData, tmp_path: Path) -> None:
    one = learner("cuda", optimizer)
    one.begin_epoch(epoch)
    taught(one, epoch, last=STEPS - 2).save_state(tmp_path / "state.pt")
    taught(one, epoch, first=STEPS - 2)
    expected = one.logits(epoch.pixels[:64])
    for device in ("cuda", "cpu"):
        other = learner(device, optimizer)
        other.load_state(tmp_path / "state.pt")
        other.begin_epoch(epoch, resumed=True)
        found = taught(other, epoch, first=STEPS - 2).logits(epoch.pixels[:64])
        assert np.abs(found - expected).max() < 1e-3, device
