"""The same artifact in other runtimes: the oldest and the newest onnxruntime, OpenVINO, OpenCV's dnn module and
onnxruntime-web agree."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from data.faceset import FaceSet
from export.canonical import canonical
from export.contract import seal, wrap
from export.quantize import Quantizer, half
from inference.engine import Engine
from inference.manifest import Manifest

SHIPPED = sorted((Path(__file__).parents[1] / "artifacts" / "models").glob("*.onnx"))
ANSWER = """
import sys
import numpy as np, onnxruntime
models, pixels, folder = sys.argv[3:], np.load(sys.argv[1]), sys.argv[2]
for number, model in enumerate(models):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    np.save(f"{folder}/{number}.npy", session.run(["probabilities"], {"pixels": pixels})[0])
print(onnxruntime.__version__)
"""


def written(path: Path, manifest: Manifest, *, resized: bool) -> Path:
    """An artifact of `layers`."""
    path.write_bytes(seal(wrap(layers(resized=resized)), manifest))
    return path


def layers(*, resized: bool) -> onnx.ModelProto:
    """A network with every operator of the ten networks but ResNet's Add, with seeded weights."""
    random = np.random.default_rng(2)
    side = 64 if resized else 48
    constants = {
        "conv": random.normal(0, 0.3, (8, 1, 3, 3)),
        "bias": random.normal(0, 0.1, 8),
        "deep": random.normal(0, 0.1, (16, 8, 3, 3)),
        "dense": random.normal(0, 0.05, (12, 16 * (side // 4) ** 2)),
        "last": random.normal(0, 0.5, (7, 12)),
        "sides": np.array([side, side]),
    }
    resize = helper.make_node(
        "Resize", ["x", "", "", "sides"], ["r"], mode="linear", axes=[2, 3], coordinate_transformation_mode="half_pixel"
    )
    nodes = [
        resize if resized else helper.make_node("Identity", ["x"], ["r"]),
        helper.make_node("Conv", ["r", "conv", "bias"], ["c"], pads=[1] * 4),
        helper.make_node("LeakyRelu", ["c"], ["l"], alpha=0.1),
        helper.make_node("MaxPool", ["l"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p", "deep"], ["d"], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "dense"], ["g"], transB=1),
        helper.make_node("Relu", ["g"], ["h"]),
        helper.make_node("Gemm", ["h", "last"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "all",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 48, 48])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 7])],
        [
            numpy_helper.from_array(array if array.dtype == np.int64 else array.astype(np.float32), name)
            for name, array in constants.items()
        ],
    )
    return canonical(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))


@pytest.fixture(scope="module")
def artifact(tiny_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("portable") / "model.onnx", tiny_manifest, resized=True)


def test_the_oldest_and_the_newest_onnxruntime_agree(
    bare_python: Path, artifact: Path, tiny_manifest: Manifest, drawn: FaceSet, tmp_path: Path
) -> None:
    models = [artifact, *lowered(tmp_path, tiny_manifest, drawn), *SHIPPED]
    np.save(tmp_path / "pixels.npy", drawn.pixels[:70])
    command = [bare_python, "-c", ANSWER, tmp_path / "pixels.npy", tmp_path, *models]
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"ORT_DISABLE_TELEMETRY": "1"},
    )
    assert done.returncode == 0, done.stderr
    version = tuple(map(int, done.stdout.split(".")[:2]))
    assert (version == (1, 17)) if "oldest" in str(bare_python) else (version >= (1, 17))
    for number, model in enumerate(models):
        answer = Engine.load(model, provider="cpu", threads=1).predict(drawn.pixels[:70])
        # A sum in int8 that is rounded the other way moves a value by a whole step.
        tolerance = 0.02 if "int8" in model.name else 1e-4
        assert np.abs(np.load(tmp_path / f"{number}.npy") - answer).max() < tolerance, model.name


def lowered(folder: Path, manifest: Manifest, faces: FaceSet) -> list[Path]:
    """A small artifact in fp16 and in int8."""
    network = layers(resized=False)
    graphs = {
        "fp16": wrap(half(network)),
        "int8": Quantizer.calibrated(wrap(network), np.ascontiguousarray(faces.pixels[:20])).quantized(),
    }
    for precision, graph in graphs.items():
        (folder / f"{precision}.onnx").write_bytes(seal(graph, manifest))
    return [folder / f"{precision}.onnx" for precision in graphs]


@pytest.fixture(scope="module")
def expected(artifact: Path, drawn: FaceSet) -> np.ndarray:
    return Engine.load(artifact, provider="cpu", threads=1).predict(drawn.pixels[:9])


def test_openvino_agrees(artifact: Path, expected: np.ndarray, drawn: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    # It reports to its maker's statistics when it is imported, unless this package is missing.
    monkeypatch.setitem(sys.modules, "openvino_telemetry", None)
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed (ferox[dev])")
    model = openvino.Core().compile_model(str(artifact), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert np.abs(model({"pixels": drawn.pixels[:9]})["probabilities"] - expected).max() < 1e-4


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_opencv_agrees_face_by_face_and_in_a_fixed_batch(
    batch: int | None, tiny_manifest: Manifest, drawn: FaceSet, tmp_path: Path
) -> None:
    # OpenCV 4.14 takes one face alone where the batch is open, and dies of more; it takes no Resize of rows and columns
    # alone ("HCHW layout is expected"), which only ResNet-18 has.
    path = written(tmp_path / "model.onnx", replace(tiny_manifest, batch=batch), resized=False)
    expected = Engine.load(path, provider="cpu", threads=1).predict(drawn.pixels[:9])
    network, size = cv2.dnn.readNetFromONNX(str(path)), batch or 1
    for start in range(0, 9, size):
        network.setInput(drawn.pixels[start : start + size], "pixels")
        assert np.abs(network.forward("probabilities") - expected[start : start + size]).max() < 1e-4


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_opencv_takes_the_models_that_come_along(path: Path, drawn: FaceSet) -> None:
    network, expected = cv2.dnn.readNetFromONNX(str(path)), Engine.load(path, provider="cpu").predict(drawn.pixels[:9])
    for face, probabilities in zip(drawn.pixels[:9], expected, strict=True):
        network.setInput(face, "pixels")
        # A sum in int8 that is rounded the other way moves a value by a whole step.
        tolerance = 0.02 if "int8" in path.name else 1e-4
        assert np.abs(network.forward("probabilities")[0] - probabilities).max() < tolerance


def test_onnxruntime_web_agrees(
    onnxruntime_web: Path, artifact: Path, expected: np.ndarray, drawn: FaceSet, tmp_path: Path
) -> None:
    drawn.pixels[:9].tofile(tmp_path / "pixels")
    script = Path(__file__).with_name("portability.mjs")
    command = ["node", script, onnxruntime_web, artifact, tmp_path / "pixels", 9, tmp_path / "answer"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = np.fromfile(tmp_path / "answer", np.float32).reshape(9, 7)
    assert np.abs(answer - expected).max() < 1e-4
