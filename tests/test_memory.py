"""A training step and a photo take their memory from what the one before has left."""

import subprocess
import sys

import pytest

from data.memory import keep_freed_blocks, keep_freed_memory

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


# As large as what is made of a photo of 1280 x 720: its file decoded, its pixels, its float32 copy for the finder.
PHOTOS = """
import resource, sys
import numpy as np
from data.memory import keep_freed_blocks

print(keep_freed_blocks() if sys.argv[1] == "kept" else "as by default")
before = []
for _ in range(6):
    blocks = [np.zeros(size, np.uint8) + 1 for size in (3_686_400, 2_764_800, 2_949_120)]
    del blocks
    before.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(min(after - now for now, after in zip(before[1:], before[2:])))
"""


def test_later_photos_take_no_new_pages_and_by_default_they_do() -> None:
    if sys.platform != "linux":
        pytest.skip("only glibc, of Linux, can be told to keep memory")
    pages = {}
    for way in ("kept", "default"):
        done = subprocess.run([sys.executable, "-c", PHOTOS, way], capture_output=True, text=True, check=True)
        pages[way] = int(done.stdout.split()[-1])
    # The three are 2,295 pages of 4 KiB.
    assert pages["kept"] < 100 < 1000 < pages["default"]


@pytest.mark.parametrize("name", ["keep_freed_memory", "keep_freed_blocks"])
def test_glibc_takes_the_settings(name: str) -> None:
    code = f"from data.memory import {name}; print({name}())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sys.platform == "linux")


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert keep_freed_memory() is keep_freed_blocks() is False
