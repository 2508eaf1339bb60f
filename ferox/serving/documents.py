"""The documents of the Open Inference Protocol, version 2, and of what stands beside it.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from data.documents import STRICT

Parameters = dict[str, bool | int | float | str]
# The protocol lets extensions add fields, which a server that does not know them passes over.
OPEN: Mapping[str, Any] = {**STRICT, "extra": "ignore"}


@dataclass(frozen=True)
class RequestedTensor:
    """An input: its values in `data`, nested or flat, or, of `binary_data_size` bytes, behind the JSON."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: Parameters = field(default_factory=dict)
    data: list[Any] | None = None


@dataclass(frozen=True)
class RequestedOutput:
    """An output that is asked for; `binary_data` says whether its values come behind the JSON."""

    name: str
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class InferRequest:
    """A request for inference. Without `outputs`, all are meant; `binary_data_output` is then for all of them."""

    __pydantic_config__: ClassVar = OPEN

    inputs: tuple[RequestedTensor, ...]
    id: str = ""
    parameters: Parameters = field(default_factory=dict)
    outputs: tuple[RequestedOutput, ...] = ()


@dataclass(frozen=True)
class AnsweredTensor:
    """An output: its values in `data`, flat in row-major order, or, of `binary_data_size` bytes, behind the JSON."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: Parameters = field(default_factory=dict)
    data: list[float] | None = None


@dataclass(frozen=True)
class InferResponse:
    """An answer; `parameters` has the `digest` of the artifact that gave it."""

    model_name: str
    model_version: str
    outputs: tuple[AnsweredTensor, ...]
    id: str = ""
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class ServerMetadata:
    """What the server is, and which extensions of the protocol it knows."""

    name: str
    version: str
    extensions: tuple[str, ...]


@dataclass(frozen=True)
class TensorMetadata:
    """A model's input or output; -1 stands for any number of faces."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelMetadata:
    """What a model takes and gives."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


@dataclass(frozen=True)
class ServerLive:
    """Whether the process answers."""

    live: bool


@dataclass(frozen=True)
class ServerReady:
    """Whether requests for inference are taken."""

    ready: bool


@dataclass(frozen=True)
class ModelReady:
    """Whether a model answers."""

    name: str
    ready: bool


@dataclass(frozen=True)
class ModelDescription:
    """A model on offer, as its manifest has it; `digest` is the artifact's."""

    name: str
    model: str
    framework: str
    precision: str
    parameters: int
    labels: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class ModelList:
    """The models on offer; the first answers where none is named."""

    models: tuple[ModelDescription, ...]
