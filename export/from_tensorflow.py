"""TensorFlow's side of an export; see `export.framework_side`."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from data.faceset import SIDE
from export.contract import OPSET
from export.framework_side import answer, in_batches
from training.tensorflow.model import Network, build, normalise, set_weights
from training.tensorflow.quiet import tf


def reference(model: Network, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the framework's own logits float32[N, 7] in evaluation mode."""
    return in_batches(tf.function(lambda batch: model(normalise(batch)), autograph=False), pixels)


def convert(model: Network, path: Path) -> None:
    """Write a network as ONNX, float32[batch, 1, 48, 48] to logits float32[batch, 7].

    The steps of `tf2onnx.convert.from_function`, which has no way to leave BatchNorm as it is: its last optimiser folds
    it into convolutions, where no twin from another framework has it yet.
    """
    # Imported here: it takes seconds, and answering the probes does not need it.
    from tf2onnx import optimizer, tf_loader, tfonnx

    def network(network_input: tf.Tensor) -> tf.Tensor:
        return tf.identity(model(tf.transpose(network_input, (0, 2, 3, 1))), "network_output")

    signature = tf.TensorSpec((None, 1, SIDE, SIDE), tf.float32, "network_input")
    concrete = tf.function(network, autograph=False).get_concrete_function(signature)
    names = {concrete.inputs[0].name: "network_input", concrete.outputs[0].name: "network_output"}
    inputs, outputs = ([name] for name in names)
    frozen = tf_loader.from_function(concrete, inputs, outputs)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen, name="")
        converted = tfonnx.process_tf_graph(
            graph, opset=OPSET, input_names=inputs, output_names=outputs, tensors_to_rename=names
        )
    for node in converted.get_nodes():
        if node.type == "Resize":
            _name_sides(converted, node)
    wanted = (
        optimizer.TransposeOptimizer,
        optimizer.ConstFoldOptimizer,
        optimizer.MergeDuplicatedNodesOptimizer,
        optimizer.ReshapeOptimizer,
        optimizer.GlobalPoolOptimizer,
        optimizer.IdentityOptimizer,
    )
    slim = optimizer.optimize_graph(converted, catch_errors=False, optimizers={kind.__name__: kind for kind in wanted})
    onnx.save(slim.make_model("network"), path)


def _name_sides(graph: Any, node: Any) -> None:
    """Let a Resize say the sides that it makes: 48 times tf2onnx's scale, 14 / 3 in float32, is 223 where it is cut."""
    before, scales = graph.get_shape(node.input[0])[2:], node.inputs[2].get_tensor_value()[2:]
    sides = [round(side * scale) for side, scale in zip(before, scales, strict=True)]
    constant = graph.make_const(f"{node.name}_sides", np.array(sides, np.int64))
    graph.replace_inputs(node, [node.input[0], "", "", constant.output[0]])
    node.set_attr("axes", [2, 3])
    graph.set_shape(node.output[0], [*graph.get_shape(node.output[0])[:2], *sides])


if __name__ == "__main__":
    answer(build, set_weights, reference, convert)
