"""A training step on a processor takes its memory from what the step before left."""

import subprocess
import sys

import pytest

from training.memory import keep_freed_memory

STEPS_OF_CNN_1 = """
import resource
from dataclasses import replace
import numpy as np
from training.recipe import recipe
from training.specs import model_spec
from training.teachers import label_shares
from training.torch.train import TorchLearner
from training.views import EpochData
from training.weights import initial_weights

size = 256
settings = replace(recipe("published", "torch", "cnn_1"), batch_size=size, device="cpu")
labels = (np.arange(size) % 7).astype(np.uint8)
pixels = np.zeros((size, 48, 48), np.uint8)
learner = TorchLearner(settings, initial_weights(model_spec("cnn_1"), 0), np.ones(7, np.float32))
learner.begin_epoch(EpochData(pixels, labels, label_shares(labels), seed=0))
before = []
for _ in range(6):
    learner.step(0, size, 0.001)
    before.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(min(after - now for now, after in zip(before[1:], before[2:])))
"""


def test_later_steps_take_no_new_pages() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")
    if sys.platform != "linux":
        pytest.skip("only glibc, of Linux, can be told to keep memory")
    done = subprocess.run([sys.executable, "-c", STEPS_OF_CNN_1], capture_output=True, text=True, check=True)
    # The first activations alone, float32[256, 32, 48, 48], are 18,432 pages of 4 KiB, which each step would take anew.
    # The best of four steps counts: that a heap still grows in one of them is no fault.
    assert int(done.stdout) < 18_432


def test_glibc_takes_both_settings() -> None:
    code = "from training.memory import keep_freed_memory; print(keep_freed_memory())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sys.platform == "linux")


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert keep_freed_memory() is False
