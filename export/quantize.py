"""Lower precision: a proven float32 network with its weights in float16, or computing in int8.

What that costs is judged by `export.fidelity`. Where int8 costs too much, the layers that cost most stay in float32.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from data.errors import InputError
from data.faceset import LABELS, FaceSet
from data.scratch import scratch_folder
from data.splits import Split
from inference.layers import WITH_WEIGHTS

CALIBRATION_FACES, CALIBRATION_BATCH = 1050, 50
# Of what was tried (the whole range, fewer percent, least entropy) the closest to float32: see docs/experiments.md.
PERCENTILE = 99.999


def half(network: onnx.ModelProto) -> onnx.ModelProto:
    """Store the weights in float16 and compute in float32; biases, a thousandth of the file, stay as they are.

    Arithmetic in float16 would round every answer of every layer, and be slower on x86, where onnxruntime has no such
    kernels and casts around each layer. The casts of weights are folded when an engine loads the file.

    Raises:
        InputError: a weight is beyond what float16 holds.
    """
    lowered = onnx.ModelProto()
    lowered.CopyFrom(network)
    casts = []
    for tensor in lowered.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(_float16(numpy_helper.to_array(tensor), name), f"{name}.fp16"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *lowered.graph.node]
    del lowered.graph.node[:]
    lowered.graph.node.extend(nodes)
    return lowered


@dataclass(frozen=True)
class Quantizer:
    """A wrapped float32 graph with the ranges of its activations, ready to be made int8.

    Activations become uint8, for int8 ones would leave onnxruntime unable to fuse some convolutions; weights become
    seven bits in int8, per channel: those of eight would overflow on x86 without VNNI, where two products with uint8
    are added up in 16 bits (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).

    The layer that makes the logits stays in float32: a few thousand weights, whose rounding would cost most.
    """

    graph: onnx.ModelProto
    ranges: Any

    @classmethod
    def calibrated(cls, graph: onnx.ModelProto, pixels: NDArray[np.uint8]) -> "Quantizer":
        """Take the ranges from faces uint8[N, 48, 48]: of each tensor, what holds `PERCENTILE` of its values."""
        from onnxruntime.quantization import calibrate
        from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

        # It prints what it does on stdout, where programs read the names of artifacts. Another stdout would be that of
        # all threads, which print such names meanwhile.
        calibrate.print = _print_nothing
        with scratch_folder("ferox-int8-") as folder:
            path = folder / "float.onnx"
            onnx.save(graph, path)
            calibrator = create_calibrator(
                path,
                augmented_model_path=str(folder / "ranges.onnx"),
                calibrate_method=CalibrationMethod.Percentile,
                extra_options={"percentile": PERCENTILE, "symmetric": False},
            )
            for start in range(0, len(pixels), CALIBRATION_BATCH):
                # By itself it would keep what every layer answers to all faces before it counts.
                calibrator.collect_data(_reader(pixels[start : start + CALIBRATION_BATCH]))
            return cls(graph, calibrator.compute_data())

    @property
    def layers(self) -> list[str]:
        """The names of the layers that int8 computes where nothing else is asked for, in their order."""
        last = _last_layer(self.graph)
        return [node.name for node in self.graph.graph.node if node.op_type in WITH_WEIGHTS and node.name != last]

    def float_layers(self, spared: Collection[str] = ()) -> tuple[str, ...]:
        """The names of the layers that stay in float32 where `spared` ones are to."""
        return (*(name for name in self.layers if name in spared), _last_layer(self.graph))

    def quantized(self, spared: Collection[str] = ()) -> onnx.ModelProto:
        """Return the graph in int8, but for `spared` layers and the last one."""
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
        from onnxruntime.quantization.quant_utils import save_and_reload_model_with_shape_infer
        from onnxruntime.quantization.registry import QDQRegistry

        kept = [node.name for node in self.graph.graph.node if node.name.startswith("contract_")]
        quantizer = QDQQuantizer(
            save_and_reload_model_with_shape_infer(self.graph),
            per_channel=True,
            reduce_range=True,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=self.ranges,
            nodes_to_quantize=[],
            nodes_to_exclude=[*kept, *self.float_layers(spared)],
            op_types_to_quantize=list(QDQRegistry),
            extra_options={},
        )
        quantizer.quantize_model()
        # It appends what is quantized last; ONNX asks for nodes in the order in which they can be computed.
        quantizer.model.topological_sort()
        lowered: onnx.ModelProto = quantizer.model.model
        lowered.ir_version = self.graph.ir_version
        return lowered


def calibration_faces(faces: FaceSet, split: Split) -> NDArray[np.uint8]:
    """Return up to `CALIBRATION_FACES` training faces uint8[N, 48, 48], seeded, evenly over the classes."""
    random = np.random.default_rng(0)
    labels = faces.labels[split.train]
    share = CALIBRATION_FACES // len(LABELS)
    chosen = [random.permutation(np.flatnonzero(labels == label))[:share] for label in range(len(LABELS))]
    places = np.sort(split.train[np.concatenate(chosen)])
    return np.ascontiguousarray(faces.records[places]["pixels"])


def _print_nothing(*_: object, **__: object) -> None:
    """Stand in for `print`."""


def _reader(pixels: NDArray[np.uint8]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        batches = iter([pixels])

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"pixels": batch}

    return Reader()


def _float16(values: NDArray[np.float32], name: str) -> NDArray[np.float16]:
    limit, largest = float(np.finfo(np.float16).max), float(np.abs(values).max())
    if largest > limit:
        raise InputError(f"{name} holds {largest:g}, float16 at most {limit:g}; export in fp32 or int8")
    return values.astype(np.float16)


def _last_layer(graph: onnx.ModelProto) -> str:
    """The layer that makes the logits."""
    (leave,) = (node.input[0] for node in graph.graph.node if node.output[0] == "logits")
    (name,) = (node.name for node in graph.graph.node if leave in node.output)
    return str(name)
