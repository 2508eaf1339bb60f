"""Reads a foreign model, which may be anybody's: what it is, as far as its own bytes say, and what is refused of it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from data.errors import InputError, printable
from export.contract import OPSET
from inference.engine import CPU, open_session, read_artifact
from inference.machine import available_cpus
from inference.operators import check_operators

# Operators of older opsets that ONNX's own converter rewrites, and what `export.adopt.network` takes out.
REWRITTEN = frozenset({"Constant", "Dropout", "Upsample"})
REMEDY = (
    "export it again from its framework without them (loops, branches and operators of one program cannot be adopted), "
    "or simplify it first: onnxslim MODEL.onnx OUT.onnx"
)
UNLOADED = f"export it again from its framework with opset {OPSET}, and try it with onnxruntime alone first"
MOST_SHOWN = 8
Shape = tuple[int | None, ...]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Foreign:
    """A foreign model: its file's name and bytes, and the interface that it states; None in a shape is an open axis."""

    name: str
    content: bytes
    input: str
    shape: Shape
    outputs: Mapping[str, Shape]
    opset: int
    producer: str

    @cached_property
    def sha256(self) -> str:
        """The sha256 of the file, as 64 hex digits."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def batch(self) -> int | None:
        """How many faces every run takes; None is any number."""
        return self.shape[0]


def read_foreign(path: Path) -> Foreign:
    """Read a foreign `.onnx`.

    Raises:
        InputError: it cannot be read, is no ONNX model, or is one that an engine would not run: too large, with weights
            in another file, with operators, functions or domains of its own, or with other inputs than one picture.
    """
    content = read_artifact(path)
    check_operators(content, path.name, REMEDY, REWRITTEN)
    try:
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model)
    # protobuf's and ONNX's errors share no narrower base class.
    except Exception as error:
        reason = printable(str(error).strip() or type(error).__name__)[:200]
        raise InputError(f"{path.name} is no ONNX model ({reason}); export it again from its framework") from error
    graph = model.graph
    if graph.sparse_initializer:
        raise InputError(f"{path.name} has sparse weights, expected dense ones; export it again from its framework")
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    name, shape = _picture(path.name, inputs)
    return Foreign(
        name=path.name,
        content=content,
        input=name,
        shape=shape,
        outputs={value.name: _shape(value) for value in graph.output},
        opset=next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1),
        producer=f"{model.producer_name} {model.producer_version}".strip()[:100],
    )


def runner(content: bytes, source: str, entry: str, output: str) -> Callable[[Floats], Floats]:
    """Return what asks a foreign model itself, in a session of its own: float32[N, ...] to its answers, [N, columns].

    Raises:
        InputError: onnxruntime cannot load it; what is returned raises one where it stops, or answers not every face.
    """
    session = open_session(content, source, CPU, available_cpus(), UNLOADED)

    def run(faces: Floats) -> Floats:
        try:
            answer = np.asarray(session.run([output], {entry: faces})[0], np.float32)
        except Exception as error:  # onnxruntime's errors share no narrower base class
            reason = printable((str(error).strip() or type(error).__name__).splitlines()[0])[:200]
            raise InputError(f"{source} stopped while it answered {len(faces)} faces ({reason}); {UNLOADED}") from error
        if answer.shape[:1] != faces.shape[:1]:
            raise InputError(
                f"{source} answers with {list(answer.shape)} to {len(faces)} faces, expected a row for each; export it "
                "again so that it does"
            )
        return answer.reshape(len(faces), -1)

    return run


def _picture(file: str, inputs: list[onnx.ValueInfoProto]) -> tuple[str, Shape]:
    if len(inputs) != 1:
        names = printable(", ".join(value.name for value in inputs[:MOST_SHOWN]))[:200]
        raise InputError(f"{file} takes {len(inputs)} inputs ({names}), expected one: a face; export it with one input")
    kind, shape = inputs[0].type.tensor_type.elem_type, _shape(inputs[0])
    if kind != TensorProto.FLOAT:
        known = TensorProto.DataType.Name(kind).lower() if kind in TensorProto.DataType.values() else str(kind)
        raise InputError(f"{file} takes {known}, expected float (32 bits); export it with a float32 input")
    if len(shape) not in (3, 4):
        raise InputError(
            f"{file} takes an input of {len(shape)} axes, expected batch, channels, rows and columns in some order; "
            "export it so that it takes pictures"
        )
    return inputs[0].name, shape


def _shape(value: onnx.ValueInfoProto) -> Shape:
    axes = value.type.tensor_type.shape.dim
    return tuple(axis.dim_value if axis.HasField("dim_value") and axis.dim_value > 0 else None for axis in axes)
