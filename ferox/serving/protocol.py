"""Requests and answers of the Open Inference Protocol as arrays, and back: JSON, and binary tensors behind it.

https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from data.documents import parse_document
from data.errors import InputError
from data.faceset import LABELS, SIDE
from ferox.serving.batching import Answers
from ferox.serving.documents import (
    AnsweredTensor,
    InferRequest,
    InferResponse,
    ModelMetadata,
    Parameters,
    RequestedOutput,
    RequestedTensor,
    TensorMetadata,
)
from ferox.serving.refusals import Refused

VERSION = "1"
PLATFORM = "onnxruntime_onnx"
EXTENSIONS = ("binary_tensor_data",)
INPUT = TensorMetadata("pixels", "UINT8", (-1, SIDE, SIDE))
OUTPUTS = tuple(TensorMetadata(name, "FP32", (-1, len(LABELS))) for name in ("logits", "probabilities"))
# Of one request: others wait while it runs.
MOST_FACES = 1024
MOST_MICROSECONDS = 3_600_000_000  # No request may take so long.
# Extensions of other servers that would change what is answered, so that they cannot be passed over.
UNKNOWN_PARAMETERS = ("shared_memory_region", "classification", "sequence_id")
REMEDY = "see GET /v2/models/{name} for what the model takes"
Values = NDArray[np.float32]


@dataclass(frozen=True)
class Wanted:
    """An output to answer with, and whether its values come behind the JSON."""

    name: str
    binary: bool


@dataclass(frozen=True)
class Asked:
    """A request that was understood: `pixels` is uint8[N, 48, 48]; `timeout` in seconds, None where it has none."""

    pixels: NDArray[np.uint8]
    wanted: tuple[Wanted, ...]
    id: str
    timeout: float | None


@dataclass(frozen=True)
class Encoded:
    """An answer's body; `header` is the length in bytes of its JSON where values follow it, else None."""

    body: bytes
    header: int | None


def model_metadata(name: str) -> ModelMetadata:
    """Return what a model takes and gives, which is the same for all."""
    return ModelMetadata(name, (VERSION,), PLATFORM, (INPUT,), OUTPUTS)


def parse_request(body: bytes, header: int | None) -> Asked:
    """Understand a request for inference.

    Args:
        body: JSON, and behind it the values of binary inputs.
        header: the length in bytes of the JSON, None where it is all of the body.

    Raises:
        InputError: it is no such request, or not for uint8 pixels [N, 48, 48].
        Refused: it has too many faces.
    """
    length = len(body) if header is None else header
    if not 0 <= length <= len(body):
        raise InputError(
            f"Inference-Header-Content-Length is {length}, expected at most the {len(body)} bytes of the body; "
            "give the length of the JSON alone"
        )
    request = parse_document(InferRequest, body[:length], "the request", REMEDY)
    inputs, outputs = [each.parameters for each in request.inputs], [each.parameters for each in request.outputs]
    for parameters in (request.parameters, *inputs, *outputs):
        _check_parameters(parameters)
    if [tensor.name for tensor in request.inputs] != [INPUT.name]:
        names = ", ".join(tensor.name for tensor in request.inputs)[:100]
        raise InputError(f"the inputs are [{names}], expected [{INPUT.name}] alone; {REMEDY}")
    pixels = _pixels(request.inputs[0], body[length:])
    return Asked(pixels, _wanted(request.outputs, request.parameters), request.id, _timeout(request.parameters))


def encode_answer(asked: Asked, model: str, answers: Answers) -> Encoded:
    """Write an answer with the outputs that were asked for."""
    values = {"logits": answers.logits, "probabilities": answers.probabilities}
    chosen = [(wanted, np.ascontiguousarray(values[wanted.name], "<f4")) for wanted in asked.wanted]
    tensors = tuple(_tensor(wanted, array) for wanted, array in chosen)
    document = asdict(InferResponse(model, VERSION, tensors, asked.id, {"digest": answers.digest}))
    text = json.dumps(_without_nothing(document), allow_nan=False, separators=(",", ":")).encode()
    behind = [array.tobytes() for wanted, array in chosen if wanted.binary]
    return Encoded(b"".join([text, *behind]), len(text) if behind else None)


def _check_parameters(parameters: Parameters) -> None:
    for name in UNKNOWN_PARAMETERS:
        if parameters.get(name):
            raise InputError(
                f"the parameter {name} is of an extension that this server lacks, expected {', '.join(EXTENSIONS)} "
                "alone; leave it out"
            )


def _pixels(tensor: RequestedTensor, behind: bytes) -> NDArray[np.uint8]:
    shape = tensor.shape
    if tensor.datatype != INPUT.datatype:
        raise InputError(
            f"pixels has the datatype {tensor.datatype[:20]!r}, expected UINT8; give grey values from 0 to 255 as they "
            "are"
        )
    if len(shape) != 3 or shape[1:] != (SIDE, SIDE) or shape[0] < 1:
        raise InputError(
            f"pixels has the shape {str(list(shape))[:60]}, expected [N, {SIDE}, {SIDE}] with N at least 1; give grey "
            "faces of that size, or send a picture to POST /v1/faces"
        )
    if shape[0] > MOST_FACES:
        raise Refused(413, f"pixels has {shape[0]} faces, expected at most {MOST_FACES}; send several requests")
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        return _from_json(tensor, behind)
    if tensor.data is not None:
        raise InputError("pixels has both data and binary_data_size, expected one of them; leave one out")
    if size != math.prod(shape) or isinstance(size, bool) or size != len(behind):
        raise InputError(
            f"pixels says that it has {size} bytes and {len(behind)} follow the JSON, expected {math.prod(shape)} for "
            f"its shape; give one byte a pixel"
        )
    return np.frombuffer(behind, np.uint8).reshape(shape)


def _from_json(tensor: RequestedTensor, behind: bytes) -> NDArray[np.uint8]:
    if tensor.data is None:
        raise InputError("pixels has neither data nor binary_data_size, expected one of them; give the values")
    if behind:
        raise InputError(
            f"{len(behind)} bytes follow the JSON, expected none; give binary_data_size, or leave them out"
        )
    try:
        values = np.asarray(tensor.data)
    except ValueError:
        raise InputError("the data of pixels is ragged, expected rows of one length; give them flat") from None
    if values.shape not in (tensor.shape, (math.prod(tensor.shape),)):
        raise InputError(
            f"the data of pixels has the shape {str(list(values.shape))[:60]}, expected {list(tensor.shape)} or "
            f"{math.prod(tensor.shape)} values in a row; give as many as the shape says"
        )
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255:
        raise InputError("the data of pixels is not all whole numbers from 0 to 255; give grey values as they are")
    return values.astype(np.uint8).reshape(tensor.shape)


def _wanted(outputs: Sequence[RequestedOutput], parameters: Parameters) -> tuple[Wanted, ...]:
    default = _flag(parameters, "binary_data_output", default=False)
    known = tuple(output.name for output in OUTPUTS)
    if not outputs:
        return tuple(Wanted(name, default) for name in known)
    names = [output.name for output in outputs]
    if unknown := next((name for name in names if name not in known or names.count(name) > 1), None):
        raise InputError(f"the output {unknown[:60]!r} is asked for, expected {' and '.join(known)}, each once")
    return tuple(Wanted(each.name, _flag(each.parameters, "binary_data", default=default)) for each in outputs)


def _flag(parameters: Parameters, name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InputError(f"the parameter {name} is {str(value)[:60]!r}, expected true or false; correct it")
    return value


def _timeout(parameters: Parameters) -> float | None:
    """Return seconds of the parameter that Triton has in microseconds; 0 is none there, too."""
    value = parameters.get("timeout", 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_MICROSECONDS:
        raise InputError(
            f"the parameter timeout is {_shown(value)}, expected a whole number of microseconds, up to an hour's"
        )
    return value / 1e6 if value else None


def _shown(value: object) -> str:
    # Hundreds of digits would tell nobody anything.
    return "a larger number" if isinstance(value, int) and value > MOST_MICROSECONDS else repr(str(value)[:60])


def _tensor(wanted: Wanted, values: Values) -> AnsweredTensor:
    if wanted.binary:
        return AnsweredTensor(wanted.name, "FP32", values.shape, {"binary_data_size": values.nbytes})
    return AnsweredTensor(wanted.name, "FP32", values.shape, data=values.ravel().tolist())


def _without_nothing(document: dict[str, object]) -> dict[str, object]:
    """Leave out what an answer does not have: clients take `data: null` for values."""
    outputs = document["outputs"]
    assert isinstance(outputs, tuple)
    kept = [{name: value for name, value in output.items() if value not in (None, {})} for output in outputs]
    return {**{name: value for name, value in document.items() if value != ""}, "outputs": kept}
