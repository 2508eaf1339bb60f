"""Makes a converter's graph into an artifact: one interface for all, one manifest, one digest.

A converter hands over the network alone (float32[batch, 1, 48, 48] in [-1, 1] to logits). Normalisation and softmax are
put around it here, once for every framework, so that nothing about them can differ between twins.

The batch is open in all that is worked with here; `seal` fixes it where the manifest says so, and adds the output
`features`.

`probabilities` = softmax(`logits` / temperature); the temperature is an initialiser that every artifact has, and is
written by `seal`, so that graph and manifest cannot disagree about it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from data.errors import InputError
from data.faceset import LABELS, SIDE
from export.metadata import metadata
from inference.engine import file_digest
from inference.graph import nodes
from inference.manifest import FEATURES, METADATA_KEY, NO_DIGEST, Manifest
from inference.saliency.activation import network_ending

# The newest that onnxruntime and onnxruntime-web 1.17 load.
OPSET, IR_VERSION = 18, 8
TEMPERATURE = "contract_temperature"
BATCH_AXIS = "batch"


def wrap(network: onnx.ModelProto) -> onnx.ModelProto:
    """Put the contract's input and outputs around a network with one input and one output."""
    graph = network.graph
    entry, leave = graph.input[0].name, graph.output[0].name
    before = [
        helper.make_node("Cast", ["pixels"], ["contract_float"], "contract_cast", to=TensorProto.FLOAT),
        helper.make_node("Div", ["contract_float", "contract_half"], ["contract_scaled"], "contract_div"),
        helper.make_node("Sub", ["contract_scaled", "contract_one"], ["contract_normal"], "contract_sub"),
        helper.make_node("Unsqueeze", ["contract_normal", "contract_axis"], [entry], "contract_unsqueeze"),
    ]
    constants = {
        "contract_half": np.float32(127.5),
        "contract_one": np.float32(1),
        "contract_axis": np.array([1]),
    }
    return enclose([*before, *graph.node], leave, [*graph.initializer, *tensors(constants)])


def tensors(constants: Mapping[str, Any]) -> list[onnx.TensorProto]:
    """Return constants as initialisers, by their names."""
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]


def enclose(network: Sequence[onnx.NodeProto], leave: str, weights: Sequence[onnx.TensorProto]) -> onnx.ModelProto:
    """Put the contract's input and outputs around nodes that take `pixels` and give logits, called `leave`."""
    after = [
        helper.make_node("Identity", [leave], ["logits"], "contract_logits"),
        helper.make_node("Div", [leave, TEMPERATURE], ["contract_tempered"], "contract_temper"),
        helper.make_node("Softmax", ["contract_tempered"], ["probabilities"], "contract_softmax", axis=-1),
    ]
    wrapped = helper.make_graph(
        [*network, *after],
        "ferox",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, [BATCH_AXIS, SIDE, SIDE])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH_AXIS, len(LABELS)])
            for name in ("logits", "probabilities")
        ],
        [*weights, *tensors({TEMPERATURE: np.float32(1)})],
    )
    model = helper.make_model(wrapped, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="ferox")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model


def check_finite(model: onnx.ModelProto) -> None:
    """Raise an `InputError` if a weight is NaN or infinite, which neither onnx nor onnxruntime minds."""
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise InputError(f"the weight {tensor.name} holds NaN or infinity; train again with a lower learning rate")


def seal(model: onnx.ModelProto, manifest: Manifest) -> bytes:
    """Return the artifact's bytes: the graph at the manifest's temperature and batch, with the features where it says
    so, what other tools read, the manifest, and the digest over it all."""
    sealed = _at_temperature(model, manifest.temperature.value)
    if manifest.features:
        _give_features(sealed)
    if manifest.batch is not None:
        _fix_batch(sealed, manifest.batch)
    properties = {METADATA_KEY: replace(manifest, digest=NO_DIGEST).to_json()}
    helper.set_model_props(sealed, metadata(manifest) | properties)
    content: bytes = sealed.SerializeToString(deterministic=True)
    _, digest = file_digest(content)
    return content.replace(f'"digest": "{NO_DIGEST}"'.encode(), f'"digest": "{digest}"'.encode(), 1)


def network_bytes(content: bytes) -> bytes:
    """Return an artifact's bytes without its manifest and at temperature 1: twins that give the same logits in the same
    way share them."""
    stripped: bytes = _at_temperature(onnx.load_from_string(content), 1.0).SerializeToString(deterministic=True)
    return stripped


def _give_features(model: onnx.ModelProto) -> None:
    """Add the output `features`, float32[batch, channels, rows, columns]: what the network averages over all places.

    It is a copy in the end of the graph, so that nothing about the network is another.
    """
    ending = network_ending(nodes(model.SerializeToString(), "the graph"))
    if ending is None:
        raise InputError("the graph does not end in a global average pool and a dense layer; export without --features")
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {value.name: value.type.tensor_type.shape.dim for value in inferred.value_info}
    sides = [BATCH_AXIS, *(side.dim_value for side in shapes[ending.features][1:])]
    graph = model.graph
    graph.node.append(helper.make_node("Identity", [ending.features], [FEATURES], "contract_features"))
    graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, sides))


def _fix_batch(model: onnx.ModelProto, batch: int) -> None:
    """Write a number in the place of every axis that is called `batch`."""
    graph = model.graph
    for value in (*graph.input, *graph.value_info, *graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param == BATCH_AXIS:
                axis.dim_value = batch


def _at_temperature(model: onnx.ModelProto, value: float) -> onnx.ModelProto:
    """Return a wrapped model without metadata, whose probabilities are of this temperature."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.metadata_props[:]
    for tensor in changed.graph.initializer:
        if tensor.name == TEMPERATURE:
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(value, np.float32), TEMPERATURE))
            return changed
    raise InputError(f"the graph has no {TEMPERATURE}; expected one that export.contract.wrap has made")
