"""Lower precision: a proven float32 artifact as int8 or fp16, gated on the task.

Logits of another precision cannot agree to the last digits, so this gate asks what a user would: on how many faces
does the answer change, and what does that cost in accuracy? It is asked on the part that the model was selected on and
on the test part; either may lose at most `LARGEST_DROP`.
"""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from data.errors import InputError
from data.faceset import LABELS, FaceSet
from data.splits import Split
from export.contract import wrap
from inference.engine import Engine

LARGEST_DROP = 0.005
CALIBRATION_FACES, CALIBRATION_BATCH = 1050, 50


@dataclass(frozen=True)
class Cost:
    """What a part's faces lose: accuracies and `agreement` (the share of faces with the same label) are shares of 1."""

    part: str
    faces: int
    accuracy_fp32: float
    accuracy: float
    agreement: float

    @property
    def drop(self) -> float:
        """Accuracy lost; negative where the lower precision is the better one."""
        return self.accuracy_fp32 - self.accuracy


@dataclass(frozen=True)
class TaskVerdict:
    """What the gate for lower precisions found."""

    passed: bool
    reason: str
    costs: tuple[Cost, ...]

    def record(self) -> dict[str, Any]:
        """Return the verdict as JSON-able values; `accuracy_drop` is the largest of the parts'."""
        drop = max(cost.drop for cost in self.costs)
        parts = {cost.part: asdict(cost) for cost in self.costs}
        return {"passed": self.passed, "reason": self.reason, "accuracy_drop": drop, "parts": parts}


def lower(network: onnx.ModelProto, precision: str, faces: FaceSet, split: Split) -> onnx.ModelProto:
    """Return a canonical float32 network in `precision`, `fp16` or `int8`, and in the contract's wrapping, which stays
    float32; int8 is calibrated on training faces.

    Raises:
        InputError: a weight is beyond what float16 holds.
    """
    if precision == "fp16":
        return wrap(_half(network))
    return _int8(wrap(network), calibration_faces(faces, split))


def calibration_faces(faces: FaceSet, split: Split) -> NDArray[np.uint8]:
    """Return up to `CALIBRATION_FACES` training faces uint8[N, 48, 48], seeded, evenly over the classes."""
    random = np.random.default_rng(0)
    labels = faces.labels[split.train]
    share = CALIBRATION_FACES // len(LABELS)
    chosen = [random.permutation(np.flatnonzero(labels == label))[:share] for label in range(len(LABELS))]
    places = np.sort(split.train[np.concatenate(chosen)])
    return np.ascontiguousarray(faces.records[places]["pixels"])


def judge_task(before: Engine, after: Engine, faces: FaceSet, split: Split) -> TaskVerdict:
    """Compare two artifacts on the part that they were selected on and on the test part."""
    parts = dict.fromkeys((split.plan.selects_on, "test"))
    costs = tuple(_cost(part, before, after, faces, split.part(part)) for part in parts)
    worst = max(costs, key=lambda cost: cost.drop)
    reason = ""
    if worst.drop > LARGEST_DROP:
        reason = (
            f"accuracy on the {worst.part} part falls from {worst.accuracy_fp32:.2%} to {worst.accuracy:.2%}, "
            f"by more than {100 * LARGEST_DROP:g} points"
        )
    return TaskVerdict(not reason, reason, costs)


def _cost(part: str, before: Engine, after: Engine, faces: FaceSet, places: NDArray[np.int64]) -> Cost:
    records = faces.records[places]
    pixels, labels = np.ascontiguousarray(records["pixels"]), records["label"]
    first, second = (engine.run(pixels)[0].argmax(axis=1) for engine in (before, after))
    shares = [float(np.mean(found)) for found in (first == labels, second == labels, first == second)]
    return Cost(part, len(labels), *shares)


def _half(network: onnx.ModelProto) -> onnx.ModelProto:
    """Store the weights in float16 and compute in float32; biases, a thousandth of the file, stay as they are.

    Arithmetic in float16 would round every answer of every layer, and be slower on x86, where onnxruntime has no such
    kernels and casts around each layer. The casts of weights are folded when an engine loads the file.
    """
    half = onnx.ModelProto()
    half.CopyFrom(network)
    casts = []
    for tensor in half.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(_float16(numpy_helper.to_array(tensor), name), f"{name}.fp16"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *half.graph.node]
    del half.graph.node[:]
    half.graph.node.extend(nodes)
    return half


def _float16(values: NDArray[np.float32], name: str) -> NDArray[np.float16]:
    limit, largest = float(np.finfo(np.float16).max), float(np.abs(values).max())
    if largest > limit:
        raise InputError(f"{name} holds {largest:g}, float16 at most {limit:g}; export in fp32 or int8")
    return values.astype(np.float16)


def _int8(graph: onnx.ModelProto, pixels: NDArray[np.uint8]) -> onnx.ModelProto:
    """Quantise statically: uint8 activations, weights of seven bits in int8, per channel.

    int8 activations would leave onnxruntime unable to fuse some convolutions. Weights of eight bits would overflow on
    x86 without VNNI, where two products with uint8 are added up in 16 bits:
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        batches = iter(np.array_split(pixels, range(CALIBRATION_BATCH, len(pixels), CALIBRATION_BATCH)))

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"pixels": batch}

    kept = [node.name for node in graph.graph.node if node.name.startswith("contract_")]
    kept.append(_last_layer(graph))
    prepared = onnx.ModelProto()
    prepared.CopyFrom(graph)
    # Its own pre-processing folds BatchNorm, which the canonical graph no longer has.
    add_pre_process_metadata(prepared)
    with tempfile.TemporaryDirectory(prefix="ferox-int8-") as folder:
        path = Path(folder) / "int8.onnx"
        quantize_static(
            prepared,
            path,
            Reader(),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,
            nodes_to_exclude=kept,
        )
        return onnx.load(path)


def _last_layer(graph: onnx.ModelProto) -> str:
    """The layer that makes the logits: a few thousand weights, whose rounding would cost most."""
    (leave,) = (node.input[0] for node in graph.graph.node if node.output[0] == "logits")
    (name,) = (node.name for node in graph.graph.node if leave in node.output)
    return str(name)
