"""What an ONNX file is made of, read off its bytes, before onnxruntime takes them and without the package `onnx`.

ONNX is a protobuf message (https://protobuf.dev/programming-guides/encoding/, and `onnx.proto` for the numbers of its
fields). Only the way to nodes and tensors is followed; what lies beside it is stepped over by its length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from data.errors import InputError

# Far beyond any model's, few enough to read in seconds: a file can consist of empty nodes.
MOST_FIELDS = 1_000_000
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FIXED_WIDTHS = {FIXED64: 8, FIXED32: 4}
LONGEST_VARINT, LONGEST_TAG = 10, 5
# By kind of message, the fields that hold messages of another kind.
CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
OP_TYPE, DOMAIN = 4, 7
EXTERNAL_DATA, DATA_LOCATION = 13, 14
TENSOR, TENSOR_NAME, VALUE_NAME = 5, 8, 1
# Where the shapes of a graph's values are declared: by kind of message, what its fields hold.
DECLARATIONS = {
    "model": {7: "graph"},
    "graph": {11: "input", 12: "value", 13: "hint"},
    "input": {2: "type"},
    "value": {2: "type"},
    "type": {1: "tensor type"},
    "tensor type": {2: "shape"},
}
# Two names of ONNX's own operators.
DEFAULT_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class Contents:
    """What a model is made of.

    Attributes:
        operators: domain and type of every node, in whatever graph, function or attribute; ONNX's own domain is "".
        functions: how many functions of its own it defines.
        external: whether a tensor is kept in another file.
    """

    operators: frozenset[tuple[str, str]]
    functions: int
    external: bool


def contents(model: bytes, name: str) -> Contents:
    """Return what a serialised model is made of.

    Args:
        model: the bytes of an ONNX file.
        name: the file's name, for messages.

    Raises:
        InputError: the bytes are no such message, or are made of more parts than any model has.
    """
    operators, functions, external = set(), 0, False
    view = memoryview(model)
    pending = [("model", view)]
    read = 0
    while pending:
        kind, message = pending.pop()
        texts = {OP_TYPE: "", DOMAIN: ""}
        for number, value in fields(message, name):
            read += 1
            if read > MOST_FIELDS:
                raise InputError(f"{name} has more than {MOST_FIELDS:,} parts, expected a model; export the run again")
            child = CHILDREN[kind].get(number)
            if child is not None and not isinstance(value, int):
                pending.append((child, value))
                functions += child == "function"
            elif kind == "node" and number in texts and not isinstance(value, int):
                texts[number] = str(value, "utf-8", "replace")
            elif kind == "tensor":
                external |= _says_external(number, value)
        if kind == "node":
            domain = "" if texts[DOMAIN] in DEFAULT_DOMAINS else texts[DOMAIN]
            operators.add((domain, texts[OP_TYPE]))
    return Contents(frozenset(operators), functions, external)


def with_input_shape(model: bytes, shape: Sequence[int | str], name: str) -> bytes:
    """Return the model with another shape declared for its inputs, and none for whatever follows from it.

    Args:
        model: the bytes of an ONNX file.
        shape: of every input that has no value of its own; a dimension of any size has a name.
        name: the file's name, for messages.

    Raises:
        InputError: the bytes are no such message.
    """
    dimensions = (
        _number(1, side) if isinstance(side, int) else _bytes(2, side.encode())  # dim_value or dim_param
        for side in shape
    )
    return _declared("model", memoryview(model), b"".join(_bytes(1, each) for each in dimensions), name)


def _declared(kind: str, message: memoryview, shape: bytes | None, name: str) -> bytes:
    parts, values = [], _names(message, TENSOR, TENSOR_NAME, name) if kind == "graph" else set()
    for number, value in fields(message, name):
        child = DECLARATIONS[kind].get(number)
        if isinstance(value, int):
            parts.append(_number(number, value))
        elif child == "shape":
            parts += [] if shape is None else [_bytes(number, shape)]
        # Old models name their weights among the inputs.
        elif child is None or (child == "input" and _name(value, VALUE_NAME, name) in values):
            parts.append(_bytes(number, value))
        elif child != "hint":
            parts.append(_bytes(number, _declared(child, value, None if child == "value" else shape, name)))
    return b"".join(parts)


def _names(graph: memoryview, number: int, name_number: int, name: str) -> set[bytes]:
    """Return the names of all messages that a graph has under a number."""
    found = (value for each, value in fields(graph, name) if each == number and not isinstance(value, int))
    return {_name(value, name_number, name) for value in found}


def _name(message: memoryview, number: int, name: str) -> bytes:
    names = [bytes(value) for each, value in fields(message, name) if each == number and not isinstance(value, int)]
    return names[-1] if names else b""


def _number(number: int, value: int) -> bytes:
    return _encoded(number << 3 | VARINT) + _encoded(value)


def _bytes(number: int, value: bytes | memoryview) -> bytes:
    return _encoded(number << 3 | BYTES) + _encoded(len(value)) + bytes(value)


def _encoded(value: int) -> bytes:
    """Return a varint: 7 bits a byte, lowest first."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _says_external(number: int, value: int | memoryview) -> bool:
    """Tell whether a tensor's field says that its values are in another file."""
    is_number = isinstance(value, int)
    return (number == DATA_LOCATION and is_number and value != 0) or (number == EXTERNAL_DATA and not is_number)


def fields(message: memoryview, name: str) -> Iterator[tuple[int, int | memoryview]]:
    """Yield a message's fields: their number, and a varint as int or what has a length as bytes; others as 0."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at, LONGEST_TAG, name)
        number, kind = tag >> 3, tag & 7
        if number == 0 or tag >= 1 << 32:
            raise _broken(name)
        if kind == VARINT:
            value, at = _varint(message, at, LONGEST_VARINT, name)
            yield number, value
        elif kind == BYTES:
            length, at = _varint(message, at, LONGEST_TAG, name)
            if length > len(message) - at:
                raise _broken(name)
            yield number, message[at : at + length]
            at += length
        elif kind in FIXED_WIDTHS:
            at += FIXED_WIDTHS[kind]
            if at > len(message):
                raise _broken(name)
            yield number, 0
        else:  # Groups, which ONNX has none of.
            raise _broken(name)


def _varint(message: memoryview, at: int, longest: int, name: str) -> tuple[int, int]:
    """Return a number of 7 bits a byte, lowest first, and where the next byte is."""
    value = 0
    for place, byte in enumerate(message[at : at + longest]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise _broken(name)


def _broken(name: str) -> InputError:
    return InputError(f"{name} is no ONNX model: its bytes end or break off within it; copy it again")
