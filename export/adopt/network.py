"""A foreign graph made ready to be put into an artifact: the contract's opset, an open batch, names of its own.

What it computes stays what it is. Its names, which are a stranger's, do not come along, nor what is not needed.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, version_converter

from data.errors import InputError, printable
from export.contract import BATCH_AXIS, OPSET
from inference.engine import CPU, open_session

INPUT, OUTPUT = "network_input", "network_output"
# Attributes of `Constant` beside `value`, and what they hold.
SCALARS = {
    **{"value_float": np.float32, "value_floats": np.float32},
    **{"value_int": np.int64, "value_ints": np.int64},
}


def foreign_network(content: bytes, output: str, shape: tuple[int, ...], batch: int | None) -> onnx.ModelProto:
    """Return a foreign model as a network with the input `network_input` and the output `network_output`.

    Args:
        content: the foreign file, which `export.adopt.foreign.read_foreign` has let pass.
        output: which of its outputs is meant.
        shape: what it takes, without the batch.
        batch: how many faces every run of the artifact takes; None is any number.

    Raises:
        InputError: it cannot be brought to the contract's opset, or its batch is fixed and cannot be freed.
    """
    model = onnx.load_from_string(content)
    _strip(model)
    fixed = _fixed_batch(model)
    model = _at_opset(model)
    _constants_apart(model)
    if fixed is not None and fixed != batch:
        _free(model, fixed)
    network = _renamed(model, output, shape)
    # A fixed one that stays is written into the sealed file, which the gate judges as it is.
    if fixed is None or fixed != batch:
        _check_batches(network, shape, fixed)
    return network


def _strip(model: onnx.ModelProto) -> None:
    """Take out what an artifact needs not, or what ONNX's converter stumbles over."""
    graph = model.graph
    del model.metadata_props[:], model.functions[:], model.training_info[:], graph.value_info[:]
    own = [entry for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", own[0].version if own else 1))
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    # From here on weights need not be inputs, too.
    model.ir_version = 8


def _fixed_batch(model: onnx.ModelProto) -> int | None:
    axis = model.graph.input[0].type.tensor_type.shape.dim[0]
    return axis.dim_value if axis.HasField("dim_value") and axis.dim_value > 0 else None


def _at_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    version = model.opset_import[0].version
    if version == OPSET:
        return model
    try:
        return version_converter.convert_version(model, OPSET)
    # The converter's errors share no narrower base class.
    except Exception as error:
        reason = printable((str(error).strip() or type(error).__name__).splitlines()[0])[:200]
        raise InputError(
            f"its operators are of opset {version}, and ONNX's converter cannot bring them to {OPSET} ({reason}); "
            f"export it again from its framework with opset {OPSET}"
        ) from error


def _constants_apart(model: onnx.ModelProto) -> None:
    """Make initialisers of `Constant` nodes, and what passes its input on of `Dropout`, which only training needs."""
    graph, kept = model.graph, []
    for node in graph.node:
        if node.op_type == "Constant":
            graph.initializer.append(numpy_helper.from_array(_constant(node), node.output[0]))
        elif node.op_type == "Dropout":
            kept.append(helper.make_node("Identity", node.input[:1], node.output[:1], node.name))
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def _constant(node: onnx.NodeProto) -> NDArray[Any]:
    attribute = node.attribute[0]
    if attribute.name == "value":
        return numpy_helper.to_array(attribute.t)
    if attribute.name not in SCALARS:
        kind = printable(attribute.name)[:40]
        raise InputError(f"it has a constant of the kind {kind}, expected numbers; export it again, or simplify it")
    return np.array(helper.get_attribute_value(attribute), SCALARS[attribute.name])


def _free(model: onnx.ModelProto, fixed: int) -> None:
    """Have every `Reshape` of what comes from the input take the number of faces, where it states the fixed batch."""
    graph = model.graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    fed = {graph.input[0].name}
    for number, node in enumerate(graph.node):
        if not fed.intersection(node.input):
            continue
        fed.update(node.output)
        sides = weights.get(node.input[1]) if node.op_type == "Reshape" and len(node.input) > 1 else None
        if sides is None or sides.ndim != 1 or not len(sides) or sides[0] != fixed:
            continue
        # -1 is what is left; where another axis is that already, 0 is as many as there are.
        rest = sides[1:].astype(np.int64)
        first = 0 if -1 in rest else -1
        name = f"{node.input[1]}.freed.{number}"
        graph.initializer.append(numpy_helper.from_array(np.concatenate([[first], rest]), name))
        node.input[1] = name
        if first == 0 and 0 not in rest:
            # With `allowzero`, as torch writes it, 0 would be none at all.
            del node.attribute[:]


def _renamed(model: onnx.ModelProto, output: str, shape: tuple[int, ...]) -> onnx.ModelProto:
    graph = model.graph
    nodes = list(_needed(graph, output))
    names = {"": "", graph.input[0].name: INPUT}
    held = {tensor.name: tensor for tensor in graph.initializer}
    weights: list[onnx.TensorProto] = []
    for node in nodes:
        for value in node.input:
            if value in held and value not in names:
                names[value] = f"foreign_weight_{len(weights) + 1}"
                # As raw bytes, as all artifacts keep their weights.
                weights.append(numpy_helper.from_array(numpy_helper.to_array(held[value]), names[value]))
    counts: Counter[str] = Counter()
    made = []
    for node in nodes:
        counts[node.op_type] += 1
        label = f"foreign_{node.op_type.lower()}_{counts[node.op_type]}"
        for place, value in enumerate(node.output):
            names.setdefault(value, label if place == 0 else f"{label}_{place}")
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name, copy.doc_string, copy.domain = label, "", ""
        copy.input[:], copy.output[:] = ([names[value] for value in values] for values in (node.input, node.output))
        made.append(copy)
    made.append(helper.make_node("Identity", [names[output]], [OUTPUT], OUTPUT))
    entry = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [BATCH_AXIS, *shape])
    leave = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, None)
    made_graph = helper.make_graph(made, "network", [entry], [leave], weights)
    network = helper.make_model(made_graph, opset_imports=[helper.make_opsetid("", OPSET)])
    network.ir_version = 8
    return network


def _needed(graph: onnx.GraphProto, output: str) -> Iterator[onnx.NodeProto]:
    """Return the nodes that an output needs, in their order."""
    wanted = {output}
    nodes: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            nodes.append(node)
    return reversed(nodes)


def _check_batches(network: onnx.ModelProto, shape: tuple[int, ...], fixed: int | None) -> None:
    """Raise an `InputError` unless a network takes one face and several."""
    try:
        session = open_session(network.SerializeToString(), "the network", CPU, 1)
        for count in (1, 3):
            faces = np.zeros((count, *shape), np.float32)
            answer = session.run([OUTPUT], {INPUT: faces})[0]
            if answer.shape[:1] != (count,):
                raise ValueError(f"it gives {list(answer.shape)} for {count} faces")
    # onnxruntime's errors share no narrower base class.
    except Exception as error:
        reason = printable((str(error).strip() or type(error).__name__).splitlines()[0])[:200]
        batch = fixed or 1
        raise InputError(
            f"it does not take batches of any size ({reason}); expected an open batch, or one that can be freed; adopt "
            f"it with --fixed-batch {batch}, or export it again with an open batch"
        ) from error
