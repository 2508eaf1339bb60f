"""The programs of docs/use-the-file.md, run as they stand there, answer as the engine does."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

from data.faceset import LABELS, FaceSet
from export.canonical import canonical
from export.contract import seal, wrap
from inference.catalogue import DEFAULT
from inference.engine import Engine
from inference.manifest import Manifest, Temperature
from training.specs import MODELS

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "use-the-file.md").read_text()
SHIPPED = ROOT / "artifacts" / "models" / f"{DEFAULT}.onnx"
# A program, and the commands that run it.
SECTION = r"## {}\n.*?```{}\n(.*?)```\n\n```sh\n(.*?)```"
FACES = (0, 150)


def extracted(heading: str, language: str) -> tuple[str, str]:
    """A section's program and its commands."""
    ((program, commands),) = re.findall(SECTION.format(re.escape(heading), language), DOCUMENT, re.DOTALL)
    return program, commands


def answered(folder: Path, commands: str, path: str = "") -> tuple[str, NDArray[np.float32]]:
    """Run a section's commands in a folder, with nothing of ours to import; return the label and the probabilities."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ORT_"))}
    environment["PATH"] = path + os.pathsep + environment["PATH"]
    done = subprocess.run(["bash", "-ec", commands], capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    label, *lines = done.stdout.splitlines()
    names, shares = zip(*(line.split() for line in lines), strict=True)
    assert names == LABELS
    return label, np.array(shares, np.float32)


def check(folder: Path, commands: str, model: Path, face: NDArray[np.uint8], path: str = "") -> None:
    """Compare what a section's commands print about a face, uint8[48, 48], with what the engine says."""
    shutil.copy(model, folder / "model.onnx")
    face.tofile(folder / "face.gray")
    expected = Engine.load(model, provider="cpu", threads=1).predict(face[None])[0]
    # A model that knows nothing would let a wrong program pass.
    assert expected.max() > 0.3
    label, probabilities = answered(folder, commands, path)
    assert np.abs(probabilities - expected).max() < 1e-4
    assert label == LABELS[expected.argmax()]


def test_a_picture_becomes_the_bytes_that_the_programs_read(drawn: FaceSet, tmp_path: Path) -> None:
    program = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)[0]
    Image.fromarray(drawn.pixels[0]).save(tmp_path / "face.png")
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)
    assert (tmp_path / "face.gray").read_bytes() == drawn.pixels[0].tobytes()


@pytest.mark.parametrize("face", FACES)
def test_the_python_program_needs_onnxruntime_and_numpy_alone(
    face: int, bare_python: Path, drawn: FaceSet, tmp_path: Path
) -> None:
    program, commands = extracted("Python", "python")
    assert len([line for line in program.splitlines() if line]) < 10
    (tmp_path / "emotion.py").write_text(program)
    check(tmp_path, commands, SHIPPED, drawn.pixels[face], str(bare_python.parent))


@pytest.mark.parametrize("face", FACES)
def test_the_javascript_program_answers_the_same(
    face: int, onnxruntime_web: Path, drawn: FaceSet, tmp_path: Path
) -> None:
    program, commands = extracted("JavaScript", "javascript")
    (tmp_path / "emotion.mjs").write_text(program)
    (tmp_path / "node_modules").symlink_to(onnxruntime_web / "node_modules")
    check(tmp_path, commands, SHIPPED, drawn.pixels[face])


@pytest.fixture(scope="module", params=["cnn_1", "vgg_32"])
def single(request: pytest.FixtureRequest, tiny_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact in float32 whose batch is one face, with seeded weights and a temperature that makes it sure."""
    pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")
    from export.from_torch import convert
    from training.torch.model import build, set_weights
    from training.weights import initial_weights

    spec, folder = MODELS[request.param], tmp_path_factory.mktemp(request.param)
    model = build(spec)
    set_weights(model, initial_weights(spec, seed=1))
    convert(model, folder / "network.onnx")
    manifest = replace(tiny_manifest, model=spec.name, batch=1, temperature=Temperature(0.02))
    path = folder / f"{spec.name}.onnx"
    path.write_bytes(seal(wrap(canonical(onnx.load(folder / "network.onnx"))), manifest))
    return path


@pytest.fixture(scope="session")
def opencv() -> None:
    """Skips where a C++ compiler or the headers of OpenCV's dnn module are missing."""
    if shutil.which("c++") is None or not Path("/usr/include/opencv4/opencv2/dnn.hpp").exists():
        pytest.skip("no C++ compiler or no OpenCV to compile with: apt-get install g++ libopencv-dnn-dev")


@pytest.mark.usefixtures("opencv")
@pytest.mark.parametrize("face", FACES)
def test_the_cpp_program_answers_the_same_about_a_fixed_batch(
    face: int, single: Path, drawn: FaceSet, tmp_path: Path
) -> None:
    program, commands = extracted("C++", "cpp")
    (tmp_path / "emotion.cpp").write_text(program)
    check(tmp_path, commands, single, drawn.pixels[face])
