"""What many tests need: drawn faces and a small artifact, each made once."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from data.draw import draw
from data.faceset import LABELS, FaceSet
from data.splits import SplitPlan, split
from export.contract import seal, wrap
from inference.manifest import CONTRACT, NO_DIGEST, Manifest, Selection, data_record


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    patch = pytest.MonkeyPatch()
    patch.setenv("FEROX_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def drawn() -> FaceSet:
    """A few hundred drawn faces."""
    return draw(300, seed=3)


@pytest.fixture(scope="session")
def linear_network() -> onnx.ModelProto:
    """A network of one dense layer with seeded weights, as a converter would hand it over."""
    weights = np.random.default_rng(0).normal(0, 0.05, (2304, 7)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 48, 48])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 7])],
        [
            numpy_helper.from_array(weights, "weight"),
            numpy_helper.from_array(np.zeros(7, np.float32), "bias"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


@pytest.fixture(scope="session")
def tiny_manifest(drawn: FaceSet) -> Manifest:
    """The manifest of `tiny_model`, not sealed yet."""
    return Manifest(
        contract=CONTRACT,
        digest=NO_DIGEST,
        model="mlp_1",
        parameters=16135,
        precision="fp32",
        framework="torch",
        versions={"torch": "2.15.0"},
        labels=LABELS,
        recipe={"optimizer": "adam", "epochs": 1},
        data=data_record(drawn.source, drawn.fingerprint, split(drawn, SplitPlan())),
        selection=Selection("validation", 1, 0.5, 1.5),
        checkpoint_sha256="1" * 64,
        parity={"passed": True, "faces": 30, "largest_difference": 1e-6},
        created="2026-01-01T00:00:00+00:00",
    )


@pytest.fixture(scope="session")
def tiny_model(
    linear_network: onnx.ModelProto, tiny_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A sealed artifact on disk."""
    path = tmp_path_factory.mktemp("models") / "mlp_1.torch.published-official.onnx"
    path.write_bytes(seal(wrap(linear_network), tiny_manifest))
    return path
