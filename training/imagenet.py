"""ImageNet weights for ResNet-18: fetched once from PyTorch's server, checked, and given to any framework as arrays."""

import hashlib
import http.client
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np

from data.cache import cache_folder
from data.commands import how_to_install
from data.errors import InputError
from data.files import write_bytes
from data.scratch import scratch_folder
from training.specs import ModelSpec
from training.weights import Weights, check_weights

# torchvision's ResNet18_Weights.IMAGENET1K_V1; the file's sha256 begins with the digits in its name.
FILE = "resnet18-f37072fd.pth"
URL = f"https://download.pytorch.org/models/{FILE}"
TIMEOUT_SECONDS = 30


def imagenet_weights(spec: ModelSpec, initial: Weights, folder: Path | None = None) -> Weights:
    """Return `initial` with everything but the classifier replaced by ImageNet's weights.

    Args:
        spec: ResNet-18's.
        initial: weights to take the classifier from.
        folder: where the file is kept; by default `imagenet` in the cache folder.

    Raises:
        InputError: the file is neither there nor to be had, or is not the one expected.
    """
    source = _file(folder or cache_folder() / "imagenet")
    with scratch_folder("ferox-imagenet-") as work:
        out = work / "weights.npz"
        command = [sys.executable, "-m", "training.torch.imagenet", str(source), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(_reason(done.stderr))
        with np.load(out, allow_pickle=False) as arrays:
            weights = initial | {name: arrays[name] for name in arrays.files}
    check_weights(weights, spec, FILE)
    return weights


def _file(folder: Path) -> Path:
    path = folder / FILE
    if path.is_file():
        _check_digest(path.read_bytes(), f"{path}", "delete it")
        return path
    try:
        with urllib.request.urlopen(URL, timeout=TIMEOUT_SECONDS) as answer:
            content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"--weights imagenet needs {FILE}, which cannot be fetched here ({error}); "
            f"download {URL} elsewhere and place it at {path}"
        ) from error
    _check_digest(content, URL, "try again")
    write_bytes(path, content)
    return path


def _check_digest(content: bytes, where: str, remedy: str) -> None:
    digest = hashlib.sha256(content).hexdigest()
    expected = FILE.removesuffix(".pth").split("-")[1]
    if not digest.startswith(expected):
        raise InputError(f"{where} is damaged: its sha256 begins with {digest[:8]}, expected {expected}; {remedy}")


def _reason(stderr: str) -> str:
    lines = stderr.strip().splitlines() or ["no message"]
    if "No module named 'torch" in lines[-1]:
        return f"--weights imagenet needs PyTorch to read the file, whatever the framework; {how_to_install('torch')}"
    return lines[-1].removeprefix("error: ")
