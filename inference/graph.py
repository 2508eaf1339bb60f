"""The main graph of an ONNX file, read off its bytes: its nodes, its weights, and the file with one more output.

It needs no package `onnx`, as `inference.wire`, and takes files that `inference.operators` has let pass.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError, printable
from inference.wire import fields

# Numbers of fields in `onnx.proto`.
GRAPH = 7
NODE, INITIALIZER, OUTPUT = 1, 5, 12
VALUE_NAME = 1
NODE_INPUT, NODE_OUTPUT, NODE_OPERATOR = 1, 2, 4
DIMENSION, DATA_TYPE, TENSOR_NAME, RAW_DATA = 1, 2, 8, 9
# By number of `TensorProto.DataType`.
FLOATS: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 10: np.dtype("<f2")}
BYTES = 2


@dataclass(frozen=True)
class Node:
    """One operator: its type, and the names of the values that it takes and gives."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def nodes(model: bytes, name: str) -> tuple[Node, ...]:
    """Return the nodes of a model's main graph in the file's order; `name` is the file's, for messages."""
    return tuple(_node(message, name) for message in _parts(model, NODE, name))


def weights(model: bytes, wanted: Iterable[str], name: str) -> dict[str, NDArray[np.float32]]:
    """Return float initialisers by their names, float16 ones as float32.

    Raises:
        InputError: one is missing, or is kept in a way that no artifact keeps its weights.
    """
    wanted, found = set(wanted), {}
    for message in _parts(model, INITIALIZER, name):
        label = next((_text(value) for number, value in fields(message, name) if number == TENSOR_NAME), "")
        if label in wanted:
            found[label] = _array(message, label, name)
    if missing := wanted - found.keys():
        raise InputError(f"{name} has no weights {printable(', '.join(sorted(missing)))[:100]}; export the run again")
    return found


def with_output(model: bytes, value: str) -> bytes:
    """Return a model that also gives a value of its graph; what it computes is the same.

    Parts of one message that stand apart in a file are one message to whoever reads it
    (https://protobuf.dev/programming-guides/encoding/#last-one-wins), so that the output is put behind the last byte.
    """
    return model + _message(GRAPH, _message(OUTPUT, _message(VALUE_NAME, value.encode())))


def _parts(model: bytes, kind: int, name: str) -> Iterator[memoryview]:
    for number, graph in fields(memoryview(model), name):
        if number == GRAPH and not isinstance(graph, int):
            yield from (part for field, part in fields(graph, name) if field == kind and not isinstance(part, int))


def _node(message: memoryview, name: str) -> Node:
    texts: dict[int, list[str]] = {NODE_INPUT: [], NODE_OUTPUT: [], NODE_OPERATOR: []}
    for number, value in fields(message, name):
        if number in texts:
            texts[number].append(_text(value))
    return Node("".join(texts[NODE_OPERATOR][-1:]), tuple(texts[NODE_INPUT]), tuple(texts[NODE_OUTPUT]))


def _array(message: memoryview, label: str, name: str) -> NDArray[np.float32]:
    shape: list[int] = []
    kind, raw = 0, b""
    for number, value in fields(message, name):
        if isinstance(value, int):
            shape += [value] if number == DIMENSION else []
            kind = value if number == DATA_TYPE else kind
        elif number == RAW_DATA:
            raw = bytes(value)
    dtype = FLOATS.get(kind)
    if dtype is None or len(raw) != prod(shape) * dtype.itemsize:
        raise InputError(f"{name} keeps {printable(label)[:60]} otherwise than artifacts do; export the run again")
    return np.frombuffer(raw, dtype).reshape(shape).astype(np.float32)


def _text(value: int | memoryview) -> str:
    return "" if isinstance(value, int) else str(value, "utf-8", "replace")


def _message(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | BYTES]) + _length(len(content)) + content


def _length(count: int) -> bytes:
    """Return a number as protobuf's varint: 7 bits a byte, lowest first."""
    digits = bytearray()
    while count > 0x7F:
        digits.append(count & 0x7F | 0x80)
        count >>= 7
    return bytes([*digits, count])
